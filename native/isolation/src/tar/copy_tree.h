// A directory tree, copied into an empty directory of whichever file system.
#pragma once

#include "base/result.h"

namespace berth::tar {

/// Everything below the open directory `from` goes into the open, empty directory `to`: owners, modes, times, attributes, hard links among
/// the copied, holes, devices. Then `to` itself gets the metadata of `from`. On failure it holds what had been copied.
Result<void> copy_tree(int from, int to);

}  // namespace berth::tar
