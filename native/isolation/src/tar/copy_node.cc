#include "tar/copy_node.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <climits>

#include "tar/lower.h"

namespace berth::tar {
namespace {

/// By the file system where it can share or copy by itself; between two of them (EXDEV, older ones EINVAL) through the page cache.
ssize_t copy_some(int from, off_t& in, int to, off_t& out, size_t size) {
  const ssize_t shared = ::copy_file_range(from, &in, to, &out, size, 0);
  if (shared >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)) return shared;
  if (::lseek(to, out, SEEK_SET) < 0) return -1;
  const ssize_t count = ::sendfile(to, from, &in, size);
  if (count > 0) out += count;
  return count;
}

Result<void> copy_data(int from, int to, uint64_t size, const std::string& path) {
  off_t at = 0;
  while (static_cast<uint64_t>(at) < size) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole up to the end
    if (data < 0) return sys_error("lseek", path);
    const off_t end = ::lseek(from, data, SEEK_HOLE);
    if (end < 0) return sys_error("lseek", path);
    off_t in = data;
    off_t out = data;
    while (in < end) {
      const ssize_t count = copy_some(from, in, to, out, static_cast<size_t>(end - in));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return sys_error("copy", path);
      if (count == 0) return Error{EIO, "copy", path, "the file became shorter"};
    }
    at = end;
  }
  if (::ftruncate(to, static_cast<off_t>(size)) != 0) return sys_error("ftruncate", path);
  return {};
}

}  // namespace

Result<void> copy_file(const Spot& from, const Spot& to, const struct stat& status) {
  const UniqueFd source(::openat(from.directory, from.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!source) return sys_error("openat", from.path);
  const UniqueFd copy(::openat(to.directory, to.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy) return sys_error("openat", to.path);
  BERTH_TRY(copy_data(source.get(), copy.get(), static_cast<uint64_t>(status.st_size), from.path));
  return copy_metadata(source.get(), copy.get(), to.path);
}

Result<void> copy_node(const Spot& from, const Spot& to, const struct stat& status) {
  const int directory = to.directory;
  if (S_ISLNK(status.st_mode)) {
    std::string text(PATH_MAX, '\0');
    const ssize_t length = ::readlinkat(from.directory, from.name.c_str(), text.data(), text.size());
    if (length < 0) return sys_error("readlinkat", from.path);
    text.resize(static_cast<size_t>(length));
    if (::symlinkat(text.c_str(), directory, to.name.c_str()) != 0) return sys_error("symlinkat", to.path);
  } else if (::mknodat(directory, to.name.c_str(), (status.st_mode & S_IFMT) | 0600, status.st_rdev) != 0) {
    return sys_error("mknodat", to.path);
  }
  if (::fchownat(directory, to.name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("fchownat", to.path);
  if (!S_ISLNK(status.st_mode) && ::fchmodat(directory, to.name.c_str(), status.st_mode & 07777, 0) != 0) {
    return sys_error("fchmodat", to.path);
  }
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (::utimensat(directory, to.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("utimensat", to.path);
  return {};
}

}  // namespace berth::tar
