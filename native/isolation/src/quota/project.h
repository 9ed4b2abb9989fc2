// Bounds on what a directory tree may take on the disk, by project quotas (ext4 and xfs mounted with prjquota or pquota): every
// file made below a directory with a project id and the inherit flag belongs to that project, and the kernel counts what all
// of a project's files take (Linux 5.14 or newer). Ids are the file system's, so other programs may use some of them as well.
//
// Life story: assign() an empty directory to a project that is not in_use(), make things in it, limit() it. Before the tree is
// removed, limit() 0 gives the id back: afterwards nobody could tell which it was.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace berth::quota {

/// True if the file system that holds `directory` counts projects and holds them to their limits.
Result<bool> enforced(const std::string& directory);

/// True if files belong to the project or a limit is set for it, by whomever.
Result<bool> in_use(const std::string& directory, uint32_t project);

/// Makes `directory` the project's, and what will be made in it.
Result<void> assign(const std::string& directory, uint32_t project);

/// All files of the project together may take `bytes` (rounded up to whole KiB); 0: no bound.
Result<void> limit(const std::string& directory, uint32_t project, uint64_t bytes);

/// The project that `directory` is of, 0 for none; 0 too where the file system knows of none.
Result<uint32_t> project_of(const std::string& directory);

}  // namespace berth::quota
