#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "tar/lower.h"
#include "tar/names.h"

namespace berth::tar {

bool is_opaque(int directory) {
  char value = 0;
  return ::fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

Result<LowerDirs> LowerDirs::open(const std::vector<std::string>& layers) {
  LowerDirs merged;
  for (const std::string& layer : layers) {
    merged.directories_.emplace_back(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!merged.directories_.back()) return sys_error("open", layer);
  }
  return merged;
}

Result<std::optional<LowerDirs::Member>> LowerDirs::find(const std::string& name) const {
  for (const UniqueFd& directory : directories_) {
    Member member{directory.get(), {}};
    if (::fstatat(directory.get(), name.c_str(), &member.status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return sys_error("fstatat", name);
    }
    if (is_whiteout(member.status)) break;
    return std::optional(member);
  }
  return std::optional<Member>();
}

Result<LowerDirs> LowerDirs::enter(const std::string& name) const {
  LowerDirs below;
  for (const UniqueFd& directory : directories_) {
    struct stat status {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return sys_error("fstatat", name);
    }
    if (!S_ISDIR(status.st_mode)) break;
    UniqueFd child(::openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child) return sys_error("openat", name);
    const bool opaque = is_opaque(child.get());
    below.directories_.push_back(std::move(child));
    if (opaque) break;
  }
  return below;
}

Result<std::vector<std::string>> LowerDirs::names(const std::string& path) const {
  std::set<std::string> all;
  for (const UniqueFd& directory : directories_) {
    BERTH_ASSIGN(const auto own, sorted_names(directory.get(), path));
    all.insert(own.begin(), own.end());
  }
  std::vector<std::string> shown;
  for (const std::string& name : all) {
    BERTH_ASSIGN(const auto member, find(name));
    if (member) shown.push_back(name);
  }
  return shown;
}

}  // namespace berth::tar
