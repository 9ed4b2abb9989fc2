// IPv4 and MAC addresses as text and as bytes.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace berth::net {

struct Ipv4Prefix {
  in_addr address{};
  uint8_t length = 32;
};

using Mac = std::array<uint8_t, 6>;

/// "172.17.0.2/16"; EINVAL naming `field` otherwise.
Result<Ipv4Prefix> parse_prefix(const std::string& text, const std::string& field);
/// "172.17.0.1"
Result<in_addr> parse_ipv4(const std::string& text, const std::string& field);
/// "02:42:ac:11:00:02"
Result<Mac> parse_mac(const std::string& text, const std::string& field);
/// 1 to 15 bytes, no slash, no white space: what the kernel takes as an interface's name.
Result<void> check_interface_name(const std::string& name, const std::string& field);
/// The last address of a prefix.
in_addr broadcast_of(const Ipv4Prefix& prefix);

}  // namespace berth::net
