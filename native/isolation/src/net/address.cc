#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cctype>
#include <charconv>

namespace berth::net {

Result<in_addr> parse_ipv4(const std::string& text, const std::string& field) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return bad_input(field, "expected an IPv4 address, got " + text);
  return address;
}

Result<Ipv4Prefix> parse_prefix(const std::string& text, const std::string& field) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return bad_input(field, "expected ADDRESS/LENGTH, got " + text);
  Ipv4Prefix prefix;
  BERTH_ASSIGN(prefix.address, parse_ipv4(text.substr(0, slash), field));
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data() + slash + 1, end, prefix.length);
  if (failure != std::errc() || stop != end || prefix.length > 32)
    return bad_input(field, "expected a prefix length of 0 to 32, got " + text);
  return prefix;
}

Result<Mac> parse_mac(const std::string& text, const std::string& field) {
  Mac mac{};
  const Error wrong = bad_input(field, "expected a MAC address such as 02:42:ac:11:00:02, got " + text);
  if (text.size() != 17) return wrong;
  for (size_t i = 0; i < mac.size(); ++i) {
    const char* from = text.data() + i * 3;
    const auto [stop, failure] = std::from_chars(from, from + 2, mac[i], 16);
    if (failure != std::errc() || stop != from + 2 || (i < 5 && from[2] != ':')) return wrong;
  }
  return mac;
}

Result<void> check_interface_name(const std::string& name, const std::string& field) {
  bool fine = !name.empty() && name.size() < IFNAMSIZ && name != "." && name != "..";
  for (const unsigned char c : name) fine = fine && c > ' ' && c != '/' && c != ':' && c != 0x7f;
  if (!fine) return bad_input(field, "expected an interface name of 1 to 15 characters");
  return {};
}

in_addr broadcast_of(const Ipv4Prefix& prefix) {
  const uint32_t host_bits = prefix.length == 32 ? 0 : (0xffffffffU >> prefix.length);
  return in_addr{prefix.address.s_addr | htonl(host_bits)};
}

}  // namespace berth::net
