// Writes the members of a layer into a directory, as overlayfs wants them.
//
// Runs on a thread of its own that has left the shared umask (unshare(CLONE_FS), umask(0)), so that open() gives files their
// final mode. A file costs openat, write, utimensat, close; owner and special bits only where they differ from root's default.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "tar/apply.h"
#include "tar/beneath.h"
#include "tar/entry.h"
#include "tar/reader.h"

namespace berth::tar {

struct WriteOptions {
  /// ".wh." names become overlayfs whiteouts and opaque marks; false: they are files like others.
  bool whiteouts = true;
  /// Members that may be in an archive; more is E2BIG.
  uint64_t max_entries = 10'000'000;
  /// The archive is of our own making: overlayfs's attributes are taken as they are.
  bool faithful = false;
  /// Hard links whose target this layer does not have go into the result instead of failing.
  bool defer_links = false;
};

struct WriteResult {
  uint64_t entries = 0;
  uint64_t file_bytes = 0;  // sizes of regular files, holes included
  /// Directories that no member describes ("" is the root): their metadata is a default and should be taken from the layers below.
  std::vector<std::string> implied;
  DeferredLinks links;
};

class LayerWriter {
 public:
  LayerWriter(int root, WriteOptions options) : root_(root), options_(options), directories_(root) {}

  /// Makes the member; its data is then taken from `reader`.
  Result<void> add(const Entry& entry, Reader& reader);
  /// Times and special bits of directories, which later members would have changed again.
  Result<void> finish();
  WriteResult& result() { return result_; }

 private:
  struct Place {
    int parent;        // descriptor
    std::string name;  // last component
    std::string path;  // clean, whole
  };
  struct PendingDirectory {
    std::string path;
    mode_t mode;
    struct timespec mtime;
  };

  bool takes(std::string_view xattr) const;
  Result<int> parent_of(std::string_view clean);
  Result<void> make_parents(const std::string& clean);
  Result<void> make_opaque(int parent, const std::string& name);
  Result<bool> is_whiteout(int parent, const std::string& name, bool& is_directory);
  Result<void> make_room(const Place& place);
  Result<void> add_whiteout(const Place& place, std::string_view hidden);
  Result<void> add_file(const Entry& entry, const Place& place, Reader& reader);
  Result<void> write_data(int fd, const Entry& entry, Reader& reader);
  Result<void> add_directory(const Entry& entry, const Place& place);
  Result<void> add_root(const Entry& entry);
  Result<void> add_hard_link(const Entry& entry, const Place& place);
  Result<void> defer_link(const Place& place, const std::string& target);
  Result<void> add_node(const Entry& entry, const Place& place);
  Result<void> set_owner(const Entry& entry, const Place& place);
  Result<void> set_xattrs(const Entry& entry, const Place& place);

  int root_;
  WriteOptions options_;
  DirectoryCache directories_;
  std::vector<PendingDirectory> pending_;
  std::set<std::string> implied_{""};  // the root until a member describes it
  bool stale_ = false;     // the directory cache must be emptied before the next member
  bool replaced_ = false;  // something was removed, so a pending directory may be no directory any more
  WriteResult result_;
};

/// True for attributes that an archive may set: overlayfs's own would change what the layers below mean.
bool xattr_allowed(std::string_view name);

/// True for attributes that mean the same in a faithful copy: all but overlayfs's notes on files and file systems of one host.
bool xattr_portable(std::string_view name);

}  // namespace berth::tar
