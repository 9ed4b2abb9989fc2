// Looking at layers that lie above each other, one at a time: what overlayfs does when it merges them.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::tar {

enum class Found {
  kDirectory,  // a directory that shows those of the layers below as well
  kOpaque,     // a directory that hides those of the layers below
  kNothing,    // look further down
  kHidden,     // nothing, and what is below is hidden
};

/// What a layer says about a directory's path ("" is its root); `directory` is open for reading if it has one. Follows no link.
Result<Found> walk(int root, const std::string& path, UniqueFd& directory);

/// Owner, mode, times and attributes that may be in a layer, from one open file or directory to another.
Result<void> copy_metadata(int from, int to, const std::string& path);

}  // namespace berth::tar
