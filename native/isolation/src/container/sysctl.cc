// linux.sysctl: only what belongs to one of the container's own namespaces may be set.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/file.h"
#include "container/setup.h"

namespace berth::container {

namespace {

constexpr std::string_view kIpc[] = {
    "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
    "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
};

/// "net.ipv4.conf.eth0/1.x" and "net/ipv4/conf/eth0.1/x" are both in use: the first separator found decides.
std::string sysctl_path(const std::string& key) {
  const size_t first = key.find_first_of("./");
  if (first == std::string::npos || key[first] == '/') return key;
  std::string path = key;
  for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  return path;
}

}  // namespace

Result<void> check_sysctls(const oci::Spec& spec, const NamespacePlan& plan) {
  for (const auto& [key, value] : spec.linux_.sysctl) {
    const std::string path = sysctl_path(key);
    const std::string field = "linux.sysctl." + key;
    if (path.find("..") != std::string::npos) return bad_input(field, "a name without \"..\"");
    int needed = 0;
    if (std::find(std::begin(kIpc), std::end(kIpc), path) != std::end(kIpc) || path.starts_with("fs/mqueue/"))
      needed = CLONE_NEWIPC;
    else if (path.starts_with("net/"))
      needed = CLONE_NEWNET;
    else if (path == "kernel/hostname")
      return bad_input(field, "the hostname field instead");
    else if (path == "kernel/domainname" && !spec.domainname.empty() && spec.domainname != value)
      return bad_input(field, "the same as the domainname field, or none");
    else if (path == "kernel/domainname")
      needed = CLONE_NEWUTS;
    else
      return bad_input(field, "a sysctl that has a namespace of its own");
    if (!plan.own(needed)) return bad_input(field, "a namespace of the container's own, the host's would change");
  }
  return {};
}

Result<void> write_sysctls(const Setup& setup) {
  for (const auto& [key, value] : setup.spec.linux_.sysctl) {
    const std::string path = "sys/" + sysctl_path(key);
    const UniqueFd file(::openat(setup.proc.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return sys_error("open", "/proc/" + path);
    BERTH_TRY(write_all(file.get(), value, "/proc/" + path));
  }
  return {};
}

}  // namespace berth::container
