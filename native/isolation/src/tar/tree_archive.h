// A tree of files as a tar stream: a writable layer as an OCI layer, or what a container shows under a path.
//
// The tree may be a live one, of a container that means harm. So nothing is opened by a path: each step is one name in an open directory,
// no link is followed, only regular files and directories are opened (any other node might do something when it is), and depth,
// names and links that are remembered are bounded.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "tar/entry.h"
#include "tar/lower.h"
#include "tar/tar_writer.h"

namespace berth::tar {

struct TreeOptions {
  /// overlayfs whiteouts and opaque marks become ".wh." members; false: nodes as others.
  bool whiteouts = false;
  /// Files may come, go and change meanwhile: what has gone is left out, what became shorter is filled up with zeros.
  bool live = false;
  /// All extended attributes that may be in a layer; false: a file's capabilities alone, as other engines archive containers.
  bool all_xattrs = false;
  /// For a copy that nothing can be told from: times with their fractions, the walked directory's own attributes, and overlayfs's
  /// attributes but those that point at files of this host. Only our own unpacking understands all of it.
  bool faithful = false;
  /// Sparse files with a map of their data; false: holes as zeros, which every reader of tar understands.
  bool sparse = false;
  /// Of another mount than the one walked: file systems that are the kernel's, not the container's (proc, sysfs, …) are left empty.
  bool skip_kernel = false;
  /// Layers below, top first, where directories that are as there and in which nothing changed should be left out.
  std::vector<std::string> lower;
  /// Clean paths of mount points that the engine made; left out while nobody has put anything there.
  std::set<std::string> ignored;
};

/// True for proc, sysfs, cgroup and the like: what reading gives there, and writing does, is the kernel's doing.
bool is_kernel_file_system(int fd);

class TreeArchiver {
 public:
  TreeArchiver(const TreeOptions& options, TarWriter& writer) : options_(options), writer_(writer), buffer_(256 * 1024) {}

  /// Everything in `directory`, each path with `prefix` before it; with `self`, first the directory under the name `prefix`.
  Result<void> directory(UniqueFd directory, const std::string& prefix, bool self);
  /// One node that is no directory, under its own name.
  Result<void> node(UniqueFd directory, const std::string& name);

 private:
  using InodeKey = std::pair<dev_t, ino_t>;
  struct Level {
    UniqueFd fd;
    std::string prefix;  // of its members' paths
    std::vector<std::string> names;
    size_t next = 0;
    std::optional<Entry> pending;  // its own header, when nothing has shown yet that it must be written
    bool opaque = false;
    dev_t device = 0;
    LowerDirs lower;
  };

  Result<void> run();
  Result<void> member(const std::string& name);
  Result<void> enter(Level& above, const std::string& name, UniqueFd node, Entry entry, const struct stat& status);
  Result<void> file(UniqueFd node, Entry& entry, const struct stat& status);
  Result<void> special(int node, Entry& entry, const struct stat& status);
  Result<bool> is_ignored(const Level& level, const std::string& name, const std::string& path, int node, const struct stat& status);
  /// Headers of the directories that lead here and were held back.
  Result<void> flush();
  Result<void> marker(const std::string& path);
  Result<void> find_extents(int fd, Entry& entry);
  Result<void> copy(int fd, uint64_t offset, uint64_t length, const std::string& path);
  Result<void> read_xattrs(int node, Entry& entry, bool& opaque);
  /// After a failed call on something in a live tree: nothing, if it may have gone; else the error.
  Result<void> gone(const char* call, const std::string& path) const;

  const TreeOptions& options_;
  TarWriter& writer_;
  std::vector<uint8_t> buffer_;
  std::vector<char> names_ = std::vector<char>(65536), value_ = std::vector<char>(65536);
  std::map<InodeKey, std::string> links_;  // first name of files with several
  std::vector<Level> levels_;
};

}  // namespace berth::tar
