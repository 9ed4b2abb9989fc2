#include <arpa/inet.h>
#include <linux/if_link.h>

#include <cstring>

#include "net/namespace.h"
#include "net/netlink.h"
#include "net/network.h"

namespace berth::net {

Result<std::vector<std::string>> routes() {
  BERTH_ASSIGN(Socket socket, Socket::open());
  Message message(RTM_GETROUTE, 0);
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  message.header(wanted);
  std::vector<std::string> destinations;
  BERTH_TRY(socket.dump(std::move(message), "list routes", [&](const nlmsghdr* header) {
    const auto* route = static_cast<const rtmsg*>(NLMSG_DATA(header));
    if (route->rtm_type != RTN_UNICAST || route->rtm_dst_len == 0) return;
    for_each_attribute(header, sizeof(rtmsg), [&](const rtattr* attribute) {
      if (attribute->rta_type != RTA_DST || RTA_PAYLOAD(attribute) < sizeof(in_addr)) return;
      char text[INET_ADDRSTRLEN];
      if (::inet_ntop(AF_INET, RTA_DATA(attribute), text, sizeof text) == nullptr) return;
      destinations.push_back(std::string(text) + "/" + std::to_string(route->rtm_dst_len));
    });
  }));
  return destinations;
}

Result<std::vector<InterfaceStats>> interface_stats(int namespace_fd) {
  std::vector<InterfaceStats> interfaces;
  BERTH_TRY(run_inside(namespace_fd, [&]() -> Result<void> {
    BERTH_ASSIGN(Socket socket, Socket::open());
    Message message(RTM_GETLINK, 0);
    message.header(ifinfomsg{});
    return socket.dump(std::move(message), "list links", [&](const nlmsghdr* header) {
      InterfaceStats entry;
      for_each_attribute(header, sizeof(ifinfomsg), [&](const rtattr* attribute) {
        if (attribute->rta_type == IFLA_IFNAME) {
          entry.name = static_cast<const char*>(RTA_DATA(attribute));
        } else if (attribute->rta_type == IFLA_STATS64) {
          rtnl_link_stats64 stats{};
          std::memcpy(&stats, RTA_DATA(attribute), std::min<size_t>(sizeof stats, RTA_PAYLOAD(attribute)));
          entry.rx_bytes = stats.rx_bytes;
          entry.rx_packets = stats.rx_packets;
          entry.rx_errors = stats.rx_errors;
          entry.rx_dropped = stats.rx_dropped;
          entry.tx_bytes = stats.tx_bytes;
          entry.tx_packets = stats.tx_packets;
          entry.tx_errors = stats.tx_errors;
          entry.tx_dropped = stats.tx_dropped;
        }
      });
      if (!entry.name.empty() && entry.name != "lo") interfaces.push_back(std::move(entry));
    });
  }));
  return interfaces;
}

}  // namespace berth::net
