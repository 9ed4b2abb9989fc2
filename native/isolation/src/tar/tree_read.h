// What a container shows under a path, as the tar stream that `docker cp` reads.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "tar/tar_writer.h"
#include "tar/tree_path.h"

namespace berth::tar {

/// Archives `path` of the root: a directory with all that is in it under its own last name ("." stays ".", the root has none),
/// anything else as the one member. `found` hears what it is before the first byte. ENOENT and the like before that.
Result<void> read_tree(int root, const std::string& path, const std::function<void(const PathStatus&)>& found, ByteOutput& output);

/// Archives the whole root, without the kernel's file systems and without a member for the root itself: `docker export`.
Result<void> export_tree(int root, ByteOutput& output);

}  // namespace berth::tar
