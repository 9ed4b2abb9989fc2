// LaunchOptions::rootfs_mounts: the overlay (or what else) that makes up the root file system.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/launch.h"

namespace berth::container {

/// Mounts them on `target`, one over the other, in the calling process' mount namespace.
Result<void> mount_rootfs(const std::vector<RootfsMount>& mounts, const std::string& target);

/// The one mount as a detached tree that no path leads to (fsopen .. fsmount); for a container with a user namespace,
/// which could not read the host's directories itself.
Result<UniqueFd> detached_rootfs(const RootfsMount& mount);

/// The mount that holds `path` must not be shared: pivot_root and MS_MOVE refuse, and our mounts would show outside.
Result<void> make_parent_private(const std::string& path);

/// 1:3.
dev_t makedev_null();

}  // namespace berth::container
