// Paths inside a root file system that may be hostile: every look-up goes through openat2(RESOLVE_IN_ROOT), so that no
// symbolic link and no ".." leads out of it.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::container {

/// Opens `path` below the directory `root`, as a chroot would; O_CLOEXEC is added. Magic links are refused.
Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, mode_t mode = 0);

/// O_PATH of `path` below `base`; EXDEV when a link or ".." leads out of it. For sources on the host that a container can write to.
Result<UniqueFd> open_within(const std::string& base, const std::string& path);

enum class Make { directory, file };

/// O_PATH of `path`; what is missing is made (directories 0755, an empty file 0644 at the end), through dangling links too.
Result<UniqueFd> ensure_in_root(int root, const std::string& path, Make kind);

/// O_PATH of the directory that holds `path` (made if missing) and the last component's name.
struct Parent {
  UniqueFd directory;
  std::string name;
};
Result<Parent> ensure_parent_in_root(int root, const std::string& path);

/// "/proc/self/fd/N": the path under which old system calls take a descriptor.
std::string fd_path(int fd);

/// `path` made absolute against `base`.
std::string absolute(const std::string& base, const std::string& path);

/// Without "." , ".." and doubled slashes, lexically; always absolute.
std::string clean_path(const std::string& path);

}  // namespace berth::container
