// What the engine does to the kernel's network: one bridge, a namespace and a veth pair a container, NAT through nft.
//
// Nothing here changes the calling thread's network namespace: work inside another one is done on a thread made for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::net {

struct BridgeOptions {
  std::string name;
  std::string address;  // "172.17.0.1/16"
  uint32_t mtu = 1500;
};

/// Makes the bridge if it is missing, gives it the address, sets it up; lets this namespace forward IPv4 and lets packets
/// from 127.0.0.1 be routed onto the bridge (published ports reached through loopback).
Result<void> ensure_bridge(const BridgeOptions& options);

/// A new network namespace with its loopback up. It lives while the descriptor, a mount or a process holds it.
Result<UniqueFd> create_namespace();

struct EndpointOptions {
  int namespace_fd = -1;
  std::string bridge;          // on this side; must exist
  std::string host_interface;  // this side's end
  std::string name;            // the other side's end: "eth0"
  std::string mac;
  std::string address;  // "172.17.0.2/16"
  std::string gateway;  // "172.17.0.1"; empty: no default route
  uint32_t mtu = 1500;
};

/// A veth pair from the bridge into the namespace, addressed and up on both sides; undone whole on failure.
Result<void> create_endpoint(const EndpointOptions& options);

/// Deletes a bridge or a veth pair by the name of this side's interface; a missing one is success.
Result<void> remove_link(const std::string& name);

/// Destinations ("10.0.0.0/8") of all IPv4 routes of this namespace, the default route left out.
Result<std::vector<std::string>> routes();

struct InterfaceStats {
  std::string name;
  uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

/// Counters of every interface but loopback in a namespace.
Result<std::vector<InterfaceStats>> interface_stats(int namespace_fd);

/// Runs nft commands as one transaction in this namespace; gives what they print. EINVAL with nft's own message otherwise.
Result<std::string> nft(const std::string& commands);

}  // namespace berth::net
