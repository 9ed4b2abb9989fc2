// One member of a tar archive, whatever dialect it was written in (POSIX ustar and pax, GNU, v7).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace berth::tar {

enum class Type : uint8_t { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

/// A stretch of a sparse file that has data.
struct Extent {
  uint64_t offset, length;
};

struct Entry {
  Type type = Type::kFile;
  std::string path;  // as in the archive, not cleaned
  std::string link;  // target of a symlink; path in the archive of a hard link
  mode_t mode = 0;   // permission bits with setuid, setgid and sticky
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size = 0;    // of the file as it will be; a sparse one's holes count
  uint64_t stored = 0;  // bytes of data in the archive
  struct timespec mtime {};
  uint32_t dev_major = 0, dev_minor = 0;
  bool sparse = false;
  std::vector<Extent> extents;                                 // when sparse
  std::vector<std::pair<std::string, std::string>> xattrs;  // name, value (any bytes)
};

}  // namespace berth::tar
