#include "tar/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tar/copy_node.h"
#include "tar/lower.h"

namespace berth::tar {
namespace {

/// Levels of directories; each holds three descriptors while it is copied.
constexpr unsigned kMaxDepth = 256;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class Copier {
 public:
  explicit Copier(int root) : root_(root) {}

  Result<void> children(int from, int to, const std::string& path, unsigned depth) {
    if (depth > kMaxDepth) return Error{ELOOP, "copy", path, "more than 256 levels of directories"};
    const int list = ::openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDirectory> directory(list < 0 ? nullptr : ::fdopendir(list));
    if (!directory) {
      const Error error = sys_error("opendir", path);
      if (list >= 0) ::close(list);
      return error;
    }
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") BERTH_TRY(one(from, to, name, path.empty() ? name : path + "/" + name, depth));
      errno = 0;
    }
    if (errno != 0) return sys_error("readdir", path);
    return {};
  }

 private:
  Result<void> one(int from, int to, const std::string& name, const std::string& path, unsigned depth) {
    struct stat status {};
    if (::fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("fstatat", path);
    if (S_ISDIR(status.st_mode)) return directory(from, to, name, path, depth);
    if (status.st_nlink > 1) {
      const auto [known, first] = links_.try_emplace({status.st_dev, status.st_ino}, path);
      if (!first) {
        if (::linkat(root_, known->second.c_str(), to, name.c_str(), 0) != 0) return sys_error("linkat", path);
        return {};
      }
    }
    const Spot source{from, name, path};
    const Spot target{to, name, path};
    return S_ISREG(status.st_mode) ? copy_file(source, target, status) : copy_node(source, target, status);
  }

  Result<void> directory(int from, int to, const std::string& name, const std::string& path, unsigned depth) {
    if (::mkdirat(to, name.c_str(), 0700) != 0) return sys_error("mkdirat", path);
    const UniqueFd source(::openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!source) return sys_error("openat", path);
    const UniqueFd target(::openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!target) return sys_error("openat", path);
    BERTH_TRY(children(source.get(), target.get(), path, depth + 1));
    // Last: making entries changes the times.
    return copy_metadata(source.get(), target.get(), path);
  }

  int root_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;  // a file with several names, where its first copy lies
};

}  // namespace

Result<void> copy_tree(int from, int to) {
  BERTH_TRY(Copier(to).children(from, to, "", 0));
  return copy_metadata(from, to, ".");
}

}  // namespace berth::tar
