// What is under a path of a container's root file system. Every look-up is openat2(RESOLVE_IN_ROOT): no link, no ".." leads out of it.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::tar {

struct PathStatus {
  struct stat status {};
  /// Of a link: the path that it leads to in the end, as far as that exists; absolute.
  std::string target;
};

/// As lstat(2): a link at the end is not followed, unless a slash comes after it. ENOENT, ENOTDIR, ELOOP.
/// Files of file systems that are the kernel's own (proc, sysfs) count as not there.
Result<PathStatus> stat_path(int root, const std::string& path);

/// O_PATH of what `path` means, with the same rules.
Result<UniqueFd> open_path(int root, const std::string& path);

/// The directory that `path` means, links at the end followed; `resolved` is its path without links.
Result<UniqueFd> open_directory(int root, const std::string& path, std::string& resolved);

/// The same path without a link in it, "..", "." and double slashes; what does not exist stays as it is. Absolute. ELOOP.
Result<std::string> resolve_links(int root, const std::string& path);

}  // namespace berth::tar
