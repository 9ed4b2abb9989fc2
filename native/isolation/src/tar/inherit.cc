// Metadata of directories that a layer only passes through.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "tar/apply.h"
#include "tar/beneath.h"
#include "tar/layer_writer.h"
#include "tar/lower.h"

namespace berth::tar {

Result<Found> walk(int root, const std::string& path, UniqueFd& directory) {
  UniqueFd at(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return sys_error("openat", path);
  bool opaque = false;
  // The empty path is the layer's own root.
  for (size_t start = 0; !path.empty() && start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string name = path.substr(start, end - start);
    start = end + 1;
    struct stat status {};
    if (::fstatat(at.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return opaque ? Found::kHidden : Found::kNothing;
      return sys_error("fstatat", path);
    }
    if (!S_ISDIR(status.st_mode)) return Found::kHidden;
    UniqueFd next(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return sys_error("openat", path);
    char value = 0;
    opaque = opaque || (::fgetxattr(next.get(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y');
    at = std::move(next);
  }
  directory = std::move(at);
  return opaque ? Found::kOpaque : Found::kDirectory;
}

Result<void> copy_metadata(int from, int to, const std::string& path) {
  struct stat status {};
  if (::fstat(from, &status) != 0) return sys_error("fstat", path);
  if (::fchown(to, status.st_uid, status.st_gid) != 0) return sys_error("fchown", path);
  std::vector<char> names(65536), value(65536);  // XATTR_LIST_MAX, XATTR_SIZE_MAX
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  for (const char* name = names.data(); name < names.data() + std::max<ssize_t>(size, 0); name += std::strlen(name) + 1) {
    if (!xattr_allowed(name)) continue;
    const ssize_t length = ::fgetxattr(from, name, value.data(), value.size());
    if (length >= 0 && ::fsetxattr(to, name, value.data(), static_cast<size_t>(length), 0) != 0 && errno != ENOTSUP) {
      return sys_error("fsetxattr", path);
    }
  }
  if (::fchmod(to, status.st_mode & 07777) != 0) return sys_error("fchmod", path);
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (::futimens(to, times) != 0) return sys_error("futimens", path);
  return {};
}

Result<void> inherit_directories(const std::string& target, const std::vector<std::string>& lower, const std::vector<std::string>& paths) {
  UniqueFd root(::open(target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", target);
  std::vector<UniqueFd> layers;
  for (const std::string& layer : lower) {
    layers.emplace_back(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!layers.back()) return sys_error("open", layer);
  }
  for (const std::string& path : paths) {
    BERTH_ASSIGN(const UniqueFd to, open_beneath(root.get(), path, O_RDONLY | O_DIRECTORY));
    for (const UniqueFd& layer : layers) {
      UniqueFd from;
      BERTH_ASSIGN(const Found found, walk(layer.get(), path, from));
      if (found == Found::kHidden) break;
      if (found == Found::kNothing) continue;
      BERTH_TRY(copy_metadata(from.get(), to.get(), path));
      break;
    }
  }
  return {};
}

}  // namespace berth::tar
