// What the functions that make up a container's inside share. All of them run in the new process, single-threaded,
// after the namespaces and before execve.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/launch.h"
#include "container/namespaces.h"
#include "container/sync.h"
#include "oci/spec.h"

namespace berth::container {

struct Setup {
  const oci::Spec& spec;
  LaunchOptions& options;
  const NamespacePlan& plan;
  Sync& sync;

  UniqueFd proc;         // the host's /proc, which outlives pivot_root
  UniqueFd root;         // O_PATH of the root file system, the container's / to be
  std::string rootfs;    // its path on the host
  pid_t host_pid = 0;    // known once the parent has put us in our cgroup
  bool in_cgroup = false;
  const cgroup::Entry* entry = nullptr;  // the way into our cgroup by ourselves; null: the parent moves us
  std::vector<UniqueFd> trees;  // by index of spec.mounts: mounts made ready by the parent (id-mapped, or of a user namespace)
  UniqueFd rootfs_tree;         // the same for LaunchOptions::rootfs_mounts
  std::vector<UniqueFd> nodes;  // by index of linux.devices: nodes made by the parent, where we may not make any

  /// Waits until the parent has moved us into our cgroup. Only what looks at cgroups needs it.
  Result<void> await_cgroup();
};

// rootfs.cc
Result<void> prepare_rootfs(Setup& setup);  // propagation, the root mount itself
Result<void> enter_rootfs(Setup& setup);    // pivot_root
Result<void> seal_rootfs(const Setup& setup);  // read-only root, masked and read-only paths

// mounts.cc
/// A copy of what is mounted at `source` when that leads into another process's root ("/proc/PID/root/…"); else invalid.
/// `proc`: the host's /proc.
Result<UniqueFd> foreign_tree(int proc, const std::string& source, bool recursive);
Result<void> make_mounts(Setup& setup);
/// Sets mount flags on what is mounted at `path` ("/proc/self/fd/N"), keeping those that the kernel has locked.
Result<void> remount(const std::string& path, unsigned long flags, const std::string& name);
/// Makes what is mounted there read-only; its other flags stay.
Result<void> remount_readonly(const std::string& path, const std::string& name);

// cgroup_mount.cc
Result<void> mount_cgroups(Setup& setup, const oci::Mount& mount, unsigned long flags);

// copy_up.cc: fills a new tmpfs with what it hides
Result<void> copy_tree(int from, int to, unsigned depth = 0);

// devices.cc
Result<void> prepare_nodes(Setup& setup);  // by the parent, before the process is made
Result<void> make_devices(Setup& setup);
/// The device rules every container needs, to be appended to the configured ones.
std::vector<oci::DeviceRule> default_device_rules();

// sysctl.cc
Result<void> check_sysctls(const oci::Spec& spec, const NamespacePlan& plan);
Result<void> write_sysctls(const Setup& setup);

}  // namespace berth::container
