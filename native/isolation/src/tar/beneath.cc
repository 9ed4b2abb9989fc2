#include "tar/beneath.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>

namespace berth::tar {

Result<std::string> clean_path(std::string_view path) {
  std::string clean;
  clean.reserve(path.size());
  size_t at = 0;
  while (at < path.size()) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (clean.empty()) return Error{EBADMSG, "tar", std::string(path.substr(0, 256)), "the path leads outside"};
      const size_t cut = clean.rfind('/');
      clean.resize(cut == std::string::npos ? 0 : cut);
      continue;
    }
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

Split split_path(std::string_view clean) {
  const size_t slash = clean.rfind('/');
  if (slash == std::string_view::npos) return {{}, clean};
  return {clean.substr(0, slash), clean.substr(slash + 1)};
}

Result<UniqueFd> open_beneath(int root, const std::string& clean, uint64_t flags) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const char* path = clean.empty() ? "." : clean.c_str();
  for (int tries = 0;; ++tries) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
    if (fd >= 0) return UniqueFd(fd);
    if ((errno != EAGAIN && errno != EINTR) || tries == 128) return sys_error("openat2", clean);
  }
}

namespace {

Result<void> check_no_mount(int parent, const char* name) {
  struct statx status {};
  if (::statx(parent, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status) != 0) {
    return errno == ENOENT ? Result<void>{} : Result<void>{sys_error("unlinkat", name)};
  }
  if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) return Error{EBUSY, "unlinkat", name, {}};
  return {};
}

}  // namespace

Result<void> remove_tree(int parent, const std::string& name, bool foreign) {
  if (foreign) BERTH_TRY(check_no_mount(parent, name.c_str()));
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return sys_error("unlinkat", name);
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return sys_error("unlinkat", name);
  // One directory of the chain is open at a time per level; a chain deeper than the descriptor limit fails with EMFILE,
  // which a path of at most 4,095 bytes can reach only with the lowest limits.
  struct Level {
    std::unique_ptr<DIR, int (*)(DIR*)> dir;
    std::string name;
  };
  std::vector<Level> levels;
  const auto enter = [&](int at, const std::string& child) -> Result<void> {
    UniqueFd fd(::openat(at, child.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return sys_error("openat", child);
    DIR* dir = ::fdopendir(fd.get());
    if (dir == nullptr) return sys_error("fdopendir", child);
    static_cast<void>(fd.release());
    levels.push_back({{dir, ::closedir}, child});
    return {};
  };
  BERTH_TRY(enter(parent, name));
  while (!levels.empty()) {
    DIR* dir = levels.back().dir.get();
    errno = 0;
    const struct dirent* child = ::readdir(dir);
    if (child == nullptr) {
      if (errno != 0) return sys_error("readdir", levels.back().name);
      const std::string done = std::move(levels.back().name);
      levels.pop_back();
      const int above = levels.empty() ? parent : ::dirfd(levels.back().dir.get());
      if (::unlinkat(above, done.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return sys_error("unlinkat", done);
      continue;
    }
    if (std::strcmp(child->d_name, ".") == 0 || std::strcmp(child->d_name, "..") == 0) continue;
    if (foreign) BERTH_TRY(check_no_mount(::dirfd(dir), child->d_name));
    if (::unlinkat(::dirfd(dir), child->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return sys_error("unlinkat", child->d_name);
    BERTH_TRY(enter(::dirfd(dir), std::string(child->d_name)));
  }
  return {};
}

Result<int> DirectoryCache::open(std::string_view clean) {
  if (clean.empty()) return root_;
  if (last_fd_ >= 0 && clean == last_path_) return last_fd_;
  const std::string path(clean);
  auto found = slots_.find(path);
  if (found == slots_.end()) {
    BERTH_ASSIGN(UniqueFd fd, open_beneath(root_, path, O_PATH | O_DIRECTORY));
    if (slots_.size() >= kMax) {
      slots_.erase(order_.back());
      order_.pop_back();
    }
    order_.push_front(path);
    found = slots_.emplace(path, Slot{std::move(fd), order_.begin()}).first;
  } else {
    order_.splice(order_.begin(), order_, found->second.used);
  }
  last_path_ = path;
  last_fd_ = found->second.fd.get();
  return last_fd_;
}

void DirectoryCache::clear() {
  slots_.clear();
  order_.clear();
  last_path_.clear();
  last_fd_ = -1;
}

}  // namespace berth::tar
