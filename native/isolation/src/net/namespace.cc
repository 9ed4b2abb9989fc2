#include "net/namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

#include <thread>

#include "base/file.h"
#include "net/network.h"

namespace berth::net {

Result<void> run_inside(int namespace_fd, const std::function<Result<void>()>& work) {
  Result<void> outcome;
  std::thread thread([&] {
    if (::setns(namespace_fd, CLONE_NEWNET) != 0)
      outcome = sys_error("setns", "network namespace");
    else
      outcome = work();
  });
  thread.join();
  return outcome;
}

Result<void> set_up(Socket& socket, const std::string& name) {
  Message message(RTM_NEWLINK, 0);
  ifinfomsg info{};
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  message.header(info);
  message.put_string(IFLA_IFNAME, name);
  return socket.request(std::move(message), "link up", name);
}

Result<UniqueFd> create_namespace() {
  UniqueFd fd;
  Result<void> outcome;
  std::thread thread([&] {
    outcome = [&]() -> Result<void> {
      if (::unshare(CLONE_NEWNET) != 0) return sys_error("unshare", "network namespace");
      fd.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      if (!fd) return sys_error("open", "/proc/thread-self/ns/net");
      BERTH_ASSIGN(Socket socket, Socket::open());
      // Interfaces made later get no link-local IPv6 address: the bridge carries IPv4 only. Loopback keeps ::1.
      // A kernel without IPv6 has no such file.
      (void)write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
      return set_up(socket, "lo");
    }();
  });
  thread.join();
  if (!outcome.ok()) return outcome.error();
  return fd;
}

}  // namespace berth::net
