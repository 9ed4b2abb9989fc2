// A (compressed) tar stream into a directory of a container: `docker cp` the other way.
#pragma once

#include "tar/source.h"
#include "tar/tree_writer.h"

namespace berth::tar {

/// Blocks until the archive's end; what follows it is not read. The calling thread must have left the shared umask
/// (unshare(CLONE_FS)). On failure what had been written stays, as with every tar. EBADMSG for a damaged archive.
Result<void> write_tree(int root, Source& source, const TreeWriteOptions& options);

}  // namespace berth::tar
