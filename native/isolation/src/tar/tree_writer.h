// Writes the members of a tar archive into a directory of a container, which may run and mean harm meanwhile.
//
// Differs from LayerWriter in whom it trusts. A place is one name in an open directory, found by openat2(RESOLVE_IN_ROOT) from the
// container's root; what is made there is made anew (O_EXCL), and from then on only its descriptor is used: owner, mode, times and
// attributes can't hit anything else, whatever the container puts under the name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "tar/beneath.h"
#include "tar/entry.h"
#include "tar/reader.h"

namespace berth::tar {

struct TreeWriteOptions {
  /// Directory in the root that paths are taken from: absolute, without links.
  std::string directory;
  /// A directory may not take the place of something else, nor something else that of a directory (EEXIST).
  bool keep_kind = false;
  /// Owner of all that is made, instead of what the archive says.
  std::optional<std::pair<uid_t, gid_t>> owner;
  uint64_t max_entries = 10'000'000;
};

class TreeWriter {
 public:
  TreeWriter(int root, const TreeWriteOptions& options) : root_(root), options_(options), directories_(root) {}
  Result<void> add(const Entry& entry, Reader& reader);
  /// Times of directories, which later members would have changed again.
  Result<void> finish();

 private:
  struct Place {
    int parent;
    std::string name;
    std::string path;  // in the root
  };
  struct PendingDirectory {
    std::string path;
    struct timespec mtime;
  };

  Result<std::string> target_of(const std::string& path) const;
  Result<int> parent_of(const std::string& path);
  /// False: the directory that the member describes is there and stays.
  Result<bool> make_room(const Entry& entry, const Place& place);
  Result<void> add_file(const Entry& entry, const Place& place, Reader& reader);
  Result<void> add_directory(const Entry& entry, const Place& place, bool there);
  Result<void> add_hard_link(const Entry& entry, const Place& place);
  Result<void> add_node(const Entry& entry, const Place& place);
  Result<void> set_owner(int fd, const Entry& entry, const std::string& path);
  Result<void> set_xattrs(int fd, const Entry& entry, const std::string& path);
  Result<void> describe(int fd, const Entry& entry, const std::string& path);

  int root_;
  const TreeWriteOptions& options_;
  DirectoryCache directories_;
  std::vector<PendingDirectory> pending_;
  uint64_t entries_ = 0;
  bool stale_ = false;  // the directory cache must be emptied before the next member
};

}  // namespace berth::tar
