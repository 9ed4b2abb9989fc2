// Copies of single files, links, pipes and devices, with all that belongs to them.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::tar {

/// A name in an open directory; `path` is for messages.
struct Spot {
  int directory;
  std::string name;
  std::string path;
};

/// A regular file: its data (holes stay holes) and metadata. EEXIST when there is something already.
Result<void> copy_file(const Spot& from, const Spot& to, const struct stat& status);

/// A link, a pipe, a socket or a device.
Result<void> copy_node(const Spot& from, const Spot& to, const struct stat& status);

}  // namespace berth::tar
