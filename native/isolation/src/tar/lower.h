// Looking at layers that lie above each other, one at a time: what overlayfs does when it merges them.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

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

/// True for overlayfs's mark of something that the layers below have and that is hidden.
inline bool is_whiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == 0; }
/// True for a directory that hides those of the layers below.
bool is_opaque(int directory);

/// One directory as the layers below a writable one show it, merged: the layers' own directories, top first.
class LowerDirs {
 public:
  /// The roots of `layers`, top first.
  static Result<LowerDirs> open(const std::vector<std::string>& layers);

  struct Member {
    int directory;  // whose it is; valid as long as this object
    struct stat status;
  };
  /// What the merged directory shows under `name`, if anything.
  [[nodiscard]] Result<std::optional<Member>> find(const std::string& name) const;
  /// The merged directory `name` in this one; empty where there is none.
  [[nodiscard]] Result<LowerDirs> enter(const std::string& name) const;
  /// All that it shows, sorted.
  [[nodiscard]] Result<std::vector<std::string>> names(const std::string& path) const;
  [[nodiscard]] bool empty() const { return directories_.empty(); }

 private:
  std::vector<UniqueFd> directories_;
};

}  // namespace berth::tar
