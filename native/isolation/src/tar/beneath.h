// Directories beneath one root, by path, without ever leaving it.
//
// Every directory is opened with openat2(RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS): whatever symlinks an archive put in the way, ".."
// and absolute targets stay inside. Nothing else may change the tree meanwhile, so an opened directory can be kept.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::tar {

/// Lexically cleaned: no leading "/" or "./", no "." or empty parts, ".." taken back; "" is the root itself. An Error when ".." leads
/// above the root.
Result<std::string> clean_path(std::string_view path);
/// "a/b" → {"a", "b"}; "b" → {"", "b"}.
struct Split {
  std::string_view parent, name;
};
Split split_path(std::string_view clean);

/// openat2 as above, with retries while something is renamed (EAGAIN).
Result<UniqueFd> open_beneath(int root, const std::string& clean, uint64_t flags);

/// Removes `name` in `parent`, with everything below it; stays on the file system and follows no link. ENOENT is no error.
/// `foreign`: the tree may be that of another mount namespace, whose mounts the kernel would take away with what they lie on: then a mount
/// in the way is EBUSY, as it would be for a process in there.
Result<void> remove_tree(int parent, const std::string& name, bool foreign = false);

class DirectoryCache {
 public:
  explicit DirectoryCache(int root) : root_(root) {}
  /// O_PATH descriptor of an existing directory, valid until the next call.
  Result<int> open(std::string_view clean);
  /// What was opened before may be stale now: something was removed or replaced.
  void clear();

 private:
  struct Slot {
    UniqueFd fd;
    std::list<std::string>::iterator used;
  };
  static constexpr size_t kMax = 64;
  int root_;
  std::string last_path_;
  int last_fd_ = -1;
  std::list<std::string> order_;  // most recently used first
  std::unordered_map<std::string, Slot> slots_;
};

}  // namespace berth::tar
