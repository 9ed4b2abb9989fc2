// tmpcopyup: a new tmpfs starts with what the directory below it holds.
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <memory>

#include "container/setup.h"

namespace berth::container {

namespace {

constexpr unsigned kMaxDepth = 64;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<void> copy_file(int from, int to, const char* name, const struct stat& info) {
  const UniqueFd source(::openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!source) return sys_error("open", name);
  const UniqueFd target(::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, info.st_mode & 07777));
  if (!target) return sys_error("open", name);
  for (off_t left = info.st_size; left > 0;) {
    const ssize_t moved = ::sendfile(target.get(), source.get(), nullptr, static_cast<size_t>(left));
    if (moved < 0) return sys_error("sendfile", name);
    if (moved == 0) break;
    left -= moved;
  }
  return {};
}

Result<void> copy_link(int from, int to, const char* name) {
  char text[PATH_MAX];
  const ssize_t length = ::readlinkat(from, name, text, sizeof text - 1);
  if (length < 0) return sys_error("readlink", name);
  text[length] = '\0';
  if (::symlinkat(text, to, name) != 0) return sys_error("symlink", name);
  return {};
}

Result<void> copy_entry(int from, int to, const char* name, unsigned depth) {
  struct stat info;
  if (::fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("stat", name);
  if (S_ISDIR(info.st_mode)) {
    if (::mkdirat(to, name, info.st_mode & 07777) != 0) return sys_error("mkdir", name);
    const UniqueFd source(::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const UniqueFd target(::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!source || !target) return sys_error("open", name);
    BERTH_TRY(copy_tree(source.get(), target.get(), depth + 1));
  } else if (S_ISREG(info.st_mode)) {
    BERTH_TRY(copy_file(from, to, name, info));
  } else if (S_ISLNK(info.st_mode)) {
    BERTH_TRY(copy_link(from, to, name));
  } else if (::mknodat(to, name, info.st_mode, info.st_rdev) != 0) {
    return sys_error("mknod", name);
  }
  if (::fchownat(to, name, info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("chown", name);
  // chown clears set-id bits, and the umask may have taken others.
  if (!S_ISLNK(info.st_mode) && ::fchmodat(to, name, info.st_mode & 07777, 0) != 0) return sys_error("chmod", name);
  const timespec times[2] = {info.st_atim, info.st_mtim};
  (void)!::utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
  return {};
}

}  // namespace

Result<void> copy_tree(int from, int to, unsigned depth) {
  if (depth > kMaxDepth) return Error{ELOOP, "copy", "tmpcopyup", "more than 64 levels of directories"};
  const int list = ::fcntl(from, F_DUPFD_CLOEXEC, 3);
  std::unique_ptr<DIR, CloseDirectory> directory(list < 0 ? nullptr : ::fdopendir(list));
  if (!directory) return sys_error("opendir", "tmpcopyup");
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") BERTH_TRY(copy_entry(from, to, name.c_str(), depth));
  }
  return {};
}

}  // namespace berth::container
