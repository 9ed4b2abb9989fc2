#include <linux/if_link.h>
#include <net/if.h>

#include "base/file.h"
#include "net/address.h"
#include "net/namespace.h"
#include "net/netlink.h"
#include "net/network.h"

namespace berth::net {

namespace {

/// A step that was done before counts as done.
Result<void> or_exists(Result<void> outcome) {
  if (!outcome.ok() && outcome.error().code == EEXIST) return {};
  return outcome;
}

Result<void> make_bridge(Socket& socket, const BridgeOptions& options) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.header(ifinfomsg{});
  message.put_string(IFLA_IFNAME, options.name);
  message.put_u32(IFLA_MTU, options.mtu);
  const size_t info = message.open(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, "bridge");
  message.close(info);
  return or_exists(socket.request(std::move(message), "create bridge", options.name));
}

Result<void> add_address(Socket& socket, const std::string& name, const Ipv4Prefix& prefix) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return sys_error("if_nametoindex", name);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = prefix.length;
  header.ifa_index = index;
  message.header(header);
  const in_addr broadcast = broadcast_of(prefix);
  message.put(IFA_LOCAL, &prefix.address, sizeof prefix.address);
  message.put(IFA_ADDRESS, &prefix.address, sizeof prefix.address);
  message.put(IFA_BROADCAST, &broadcast, sizeof broadcast);
  return or_exists(socket.request(std::move(message), "add address", name));
}

Result<void> add_default_route(Socket& socket, in_addr gateway) {
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  message.header(header);
  message.put(RTA_GATEWAY, &gateway, sizeof gateway);
  return socket.request(std::move(message), "add default route", "");
}

/// One request makes both ends: ours enslaved to the bridge and up, the other one born inside the namespace. That one can't
/// be born up: the kernel opens it before it has tied the two together, and refuses (ENOTCONN).
Result<void> make_veth(Socket& socket, const EndpointOptions& options, const Mac& mac, unsigned bridge) {
  ifinfomsg up{};
  up.ifi_flags = IFF_UP;
  up.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.header(up);
  message.put_string(IFLA_IFNAME, options.host_interface);
  message.put_u32(IFLA_MTU, options.mtu);
  message.put_u32(IFLA_MASTER, bridge);
  const size_t info = message.open(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, "veth");
  const size_t data = message.open(IFLA_INFO_DATA);
  const size_t peer = message.open(1);  // VETH_INFO_PEER
  message.nested_header(ifinfomsg{});
  message.put_string(IFLA_IFNAME, options.name);
  message.put_u32(IFLA_MTU, options.mtu);
  message.put(IFLA_ADDRESS, mac.data(), mac.size());
  message.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(options.namespace_fd));
  message.close(peer);
  message.close(data);
  message.close(info);
  return socket.request(std::move(message), "create veth", options.host_interface);
}

/// Lets the bridge send a frame back out where it came in: a container that reaches its own published port, by way of the
/// host's address, where bridged packets pass the firewall (br_netfilter). A request of its own: the kernel looks at a port's
/// settings only once the device is a port.
Result<void> set_hairpin(Socket& socket, const std::string& name) {
  Message message(RTM_NEWLINK, 0);
  message.header(ifinfomsg{});
  message.put_string(IFLA_IFNAME, name);
  const size_t info = message.open(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_SLAVE_KIND, "bridge");
  const size_t data = message.open(IFLA_INFO_SLAVE_DATA);
  const uint8_t on = 1;
  message.put(IFLA_BRPORT_MODE, &on, sizeof on);
  message.close(data);
  message.close(info);
  return socket.request(std::move(message), "set hairpin mode", name);
}

}  // namespace

Result<void> ensure_bridge(const BridgeOptions& options) {
  BERTH_TRY(check_interface_name(options.name, "name"));
  BERTH_ASSIGN(const Ipv4Prefix prefix, parse_prefix(options.address, "address"));
  BERTH_ASSIGN(Socket socket, Socket::open());
  BERTH_TRY(make_bridge(socket, options));
  BERTH_TRY(add_address(socket, options.name, prefix));
  BERTH_TRY(set_up(socket, options.name));
  BERTH_TRY(write_file("/proc/sys/net/ipv4/ip_forward", "1"));
  return write_file("/proc/sys/net/ipv4/conf/" + options.name + "/route_localnet", "1");
}

Result<void> create_endpoint(const EndpointOptions& options) {
  BERTH_TRY(check_interface_name(options.host_interface, "hostInterface"));
  BERTH_TRY(check_interface_name(options.name, "name"));
  BERTH_ASSIGN(const Ipv4Prefix prefix, parse_prefix(options.address, "address"));
  BERTH_ASSIGN(const Mac mac, parse_mac(options.mac, "mac"));
  in_addr gateway{};
  if (!options.gateway.empty()) {
    BERTH_ASSIGN(gateway, parse_ipv4(options.gateway, "gateway"));
  }
  const unsigned bridge = ::if_nametoindex(options.bridge.c_str());
  if (bridge == 0) return sys_error("if_nametoindex", options.bridge);
  BERTH_ASSIGN(Socket socket, Socket::open());
  BERTH_TRY(make_veth(socket, options, mac, bridge));
  Result<void> configured = run_inside(options.namespace_fd, [&]() -> Result<void> {
    BERTH_ASSIGN(Socket inside, Socket::open());
    BERTH_TRY(add_address(inside, options.name, prefix));
    BERTH_TRY(set_up(inside, options.name));
    if (options.gateway.empty()) return {};
    return add_default_route(inside, gateway);
  });
  if (configured.ok()) configured = set_hairpin(socket, options.host_interface);
  if (!configured.ok()) (void)remove_link(options.host_interface);
  return configured;
}

Result<void> remove_link(const std::string& name) {
  BERTH_TRY(check_interface_name(name, "name"));
  BERTH_ASSIGN(Socket socket, Socket::open());
  Message message(RTM_DELLINK, 0);
  message.header(ifinfomsg{});
  message.put_string(IFLA_IFNAME, name);
  Result<void> outcome = socket.request(std::move(message), "delete link", name);
  if (!outcome.ok() && (outcome.error().code == ENODEV || outcome.error().code == ENOENT)) return {};
  return outcome;
}

}  // namespace berth::net
