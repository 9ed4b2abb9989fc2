// A container's root file system, as seen from outside of it.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "addon/addon.h"
#include "base/fd.h"
#include "base/result.h"
#include "container/launch.h"

namespace berth::addon {

struct ViewBind {
  std::string source, destination;
  bool read_only = false, recursive = true;
};

struct ViewOptions {
  /// A running container: its first process, and the process that must be its parent. 0: the mounts below.
  pid_t process = 0, parent = 0;
  std::vector<container::RootfsMount> rootfs;
  std::vector<ViewBind> binds;
  /// An empty directory on the host, to mount on.
  std::string at;
  /// First a tmpfs on `at`, with directories "upper", "work" and "root": what is written to the view is gone with it.
  bool throwaway = false;
  /// Of a running container its root mount, without what is mounted in it.
  bool alone = false;
};

/// Reads { process, parent, rootfs: [{ type, source, base, options }], binds: [{ source, destination, readOnly, recursive }], at, throwaway, alone }.
ViewOptions read_view(Napi::Env env, Args& args);

/// O_PATH of the root, for this thread alone, which must end soon after. For a container that does not run the thread gets a mount
/// namespace of its own, in which the mounts are made: they are gone with the thread, however it ends, and nobody else ever sees them.
/// ESRCH when the process has gone, or is not the container's.
Result<UniqueFd> open_view(const ViewOptions& options);

}  // namespace berth::addon
