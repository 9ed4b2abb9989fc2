#include "tar/changes.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "tar/lower.h"
#include "tar/names.h"

namespace berth::tar {
namespace {

std::string capability_of(int directory, const std::string& name) {
  char value[64];
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  const ssize_t length = ::lgetxattr(path.c_str(), "security.capability", value, sizeof value);
  return {value, length > 0 ? static_cast<size_t>(length) : 0};
}

/// Times from archives have whole seconds: one without a fraction equals any of the same second.
bool same_time(const struct timespec& a, const struct timespec& b) {
  return a.tv_sec == b.tv_sec && (a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0);
}

bool is_different(const struct stat& before, const struct stat& now) {
  if (before.st_mode != now.st_mode || before.st_uid != now.st_uid || before.st_gid != now.st_gid || before.st_rdev != now.st_rdev) return true;
  // Making something in a directory changes its time, and its size says nothing.
  return !S_ISDIR(now.st_mode) && (before.st_size != now.st_size || !same_time(before.st_mtim, now.st_mtim));
}

class Finder {
 public:
  explicit Finder(const ChangesOptions& options) : options_(options) {}

  Result<std::vector<Change>> find() {
    UniqueFd root(::open(options_.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return sys_error("open", options_.upper);
    BERTH_ASSIGN(LowerDirs lower, LowerDirs::open(options_.lower));
    BERTH_TRY(push(std::move(root), "", std::move(lower), true));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.names.size()) {
        levels_.pop_back();
        continue;
      }
      const std::string name = std::move(level.names[level.next++]);
      BERTH_TRY(member(name));
    }
    return std::move(changes_);
  }

 private:
  struct Level {
    UniqueFd fd;
    std::string path;
    std::vector<std::string> names;  // its own, and those it hides
    size_t next = 0;
    LowerDirs lower;
    bool told = false;  // among the changes already
  };

  Result<void> push(UniqueFd fd, const std::string& path, LowerDirs lower, bool told) {
    Level level;
    BERTH_ASSIGN(level.names, sorted_names(fd.get(), path));
    // An opaque directory took away all that was there.
    if (is_opaque(fd.get()) && !lower.empty()) {
      BERTH_ASSIGN(const auto before, lower.names(path));
      std::set<std::string> all(level.names.begin(), level.names.end());
      all.insert(before.begin(), before.end());
      level.names.assign(all.begin(), all.end());
    }
    level.fd = std::move(fd);
    level.path = path;
    level.lower = std::move(lower);
    level.told = told;
    levels_.push_back(std::move(level));
    return {};
  }

  /// The change, after those of directories above that have not been told yet: they are part of every change inside.
  Result<void> tell(ChangeKind kind, const std::string& path) {
    for (Level& level : levels_) {
      if (level.told) continue;
      level.told = true;
      changes_.push_back({ChangeKind::kModified, level.path});
    }
    if (changes_.size() >= options_.max_changes) return Error{E2BIG, "changes", path, "too many changes"};
    changes_.push_back({kind, path});
    return {};
  }

  Result<bool> is_ignored(const Level& level, const std::string& name, const std::string& path, const struct stat& status) const {
    if (!options_.ignored.contains(path.substr(1))) return false;
    if (S_ISREG(status.st_mode)) return status.st_size == 0;
    if (!S_ISDIR(status.st_mode)) return false;
    const UniqueFd directory(::openat(level.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return false;
    BERTH_ASSIGN(const auto names, sorted_names(directory.get(), path));
    return names.empty();
  }

  Result<void> member(const std::string& name) {
    Level& level = levels_.back();
    const std::string path = level.path + "/" + name;
    if (path.size() >= PATH_MAX) return {};
    BERTH_ASSIGN(const auto before, level.lower.find(name));
    struct stat now {};
    const bool there = ::fstatat(level.fd.get(), name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT) return sys_error("fstatat", path);
    if (!there || is_whiteout(now)) return before ? tell(ChangeKind::kDeleted, path) : Result<void>{};
    bool told = false;
    if (!before) {
      BERTH_ASSIGN(const bool ignored, is_ignored(level, name, path, now));
      if (ignored) return {};
      BERTH_TRY(tell(ChangeKind::kAdded, path));
      told = true;
    } else if (is_different(before->status, now) || capability_of(before->directory, name) != capability_of(level.fd.get(), name)) {
      BERTH_TRY(tell(ChangeKind::kModified, path));
      told = true;
    }
    if (!S_ISDIR(now.st_mode)) return {};
    UniqueFd child(::openat(level.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? Result<void>{} : Result<void>{sys_error("openat", path)};
    LowerDirs lower;
    if (before && S_ISDIR(before->status.st_mode)) {
      BERTH_ASSIGN(lower, level.lower.enter(name));
    }
    return push(std::move(child), path, std::move(lower), told);
  }

  const ChangesOptions& options_;
  std::vector<Level> levels_;
  std::vector<Change> changes_;
};

}  // namespace

Result<std::vector<Change>> layer_changes(const ChangesOptions& options) { return Finder(options).find(); }

}  // namespace berth::tar
