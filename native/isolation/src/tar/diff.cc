#include "tar/diff.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/fd.h"
#include "tar/diff_output.h"
#include "tar/layer_writer.h"

namespace berth::tar {
namespace {

using InodeKey = std::pair<dev_t, ino_t>;

Result<std::vector<std::string>> sorted_names(int directory, const std::string& path) {
  UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) return sys_error("openat", path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(own.get()), ::closedir);
  if (!dir) return sys_error("fdopendir", path);
  static_cast<void>(own.release());
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* child = ::readdir(dir.get());
    if (child == nullptr && errno != 0) return sys_error("readdir", path);
    if (child == nullptr) break;
    if (std::strcmp(child->d_name, ".") != 0 && std::strcmp(child->d_name, "..") != 0) names.emplace_back(child->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Differ {
 public:
  Differ(const DiffOptions& options, TarWriter& writer) : options_(options), writer_(writer), buffer_(256 * 1024) {}

  /// Everything in `directory`; the recursion is as deep as the tree, which a path of 4,095 bytes bounds.
  Result<void> walk(int directory, const std::string& path);

 private:
  Result<void> member(int directory, const std::string& name, const std::string& path);
  Result<void> file(int directory, const std::string& name, Entry& entry, const struct stat& status);
  Result<void> find_extents(int fd, Entry& entry);
  Result<void> copy(int fd, uint64_t offset, uint64_t length, const std::string& path);
  Result<void> read_xattrs(int directory, const std::string& name, Entry& entry, bool& opaque);
  Result<void> marker(const std::string& path);

  const DiffOptions& options_;
  TarWriter& writer_;
  std::vector<uint8_t> buffer_;
  std::vector<char> names_ = std::vector<char>(65536), value_ = std::vector<char>(65536);
  std::map<InodeKey, std::string> links_;  // first name of files with several
};

Result<void> Differ::walk(int directory, const std::string& path) {
  BERTH_ASSIGN(const auto names, sorted_names(directory, path));
  for (const std::string& name : names) BERTH_TRY(member(directory, name, path.empty() ? name : path + "/" + name));
  return {};
}

Result<void> Differ::marker(const std::string& path) {
  Entry entry;
  entry.path = path;
  entry.mode = 0600;
  BERTH_TRY(writer_.header(entry));
  return writer_.end_member();
}

Result<void> Differ::read_xattrs(int directory, const std::string& name, Entry& entry, bool& opaque) {
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  const ssize_t size = ::llistxattr(path.c_str(), names_.data(), names_.size());
  if (size < 0 && errno != ENOTSUP) return sys_error("llistxattr", entry.path);
  for (const char* key = names_.data(); key < names_.data() + std::max<ssize_t>(size, 0); key += std::strlen(key) + 1) {
    const ssize_t length = ::lgetxattr(path.c_str(), key, value_.data(), value_.size());
    if (length < 0) continue;
    const std::string_view value(value_.data(), static_cast<size_t>(length));
    const std::string_view key_view(key);
    if (key_view == "trusted.overlay.opaque" && value == "y") opaque = true;
    // The content would be elsewhere: our mounts forbid these, so someone else's tree is being read.
    if (key_view == "trusted.overlay.redirect" || key_view == "trusted.overlay.metacopy") {
      return Error{ENOTSUP, "diff", entry.path, "the directory was written with redirect_dir or metacopy"};
    }
    if (xattr_allowed(key_view)) entry.xattrs.emplace_back(key_view, value);
  }
  std::sort(entry.xattrs.begin(), entry.xattrs.end());
  return {};
}

Result<void> Differ::member(int directory, const std::string& name, const std::string& path) {
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("fstatat", path);
  if (S_ISSOCK(status.st_mode)) return {};
  if (options_.whiteouts && S_ISCHR(status.st_mode) && status.st_rdev == 0) {
    const Split split = split_path(path);
    return marker((split.parent.empty() ? "" : std::string(split.parent) + "/") + ".wh." + std::string(split.name));
  }
  Entry entry;
  entry.path = path;
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime.tv_sec = status.st_mtim.tv_sec;
  if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
    const auto [first, is_new] = links_.try_emplace({status.st_dev, status.st_ino}, path);
    if (!is_new) {
      entry.type = Type::kHardLink;
      entry.link = first->second;
      return writer_.header(entry);
    }
  }
  bool opaque = false;
  BERTH_TRY(read_xattrs(directory, name, entry, opaque));
  if (S_ISREG(status.st_mode)) return file(directory, name, entry, status);
  if (S_ISDIR(status.st_mode)) {
    entry.type = Type::kDirectory;
    entry.path += '/';
    BERTH_TRY(writer_.header(entry));
    if (opaque && options_.whiteouts) BERTH_TRY(marker(path + "/.wh..wh..opq"));
    UniqueFd child(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child) return sys_error("openat", path);
    return walk(child.get(), path);
  }
  if (S_ISLNK(status.st_mode)) {
    char target[4096];
    const ssize_t length = ::readlinkat(directory, name.c_str(), target, sizeof target);
    if (length < 0) return sys_error("readlinkat", path);
    entry.type = Type::kSymlink;
    entry.link.assign(target, static_cast<size_t>(length));
  } else if (S_ISFIFO(status.st_mode)) {
    entry.type = Type::kFifo;
  } else {
    entry.type = S_ISCHR(status.st_mode) ? Type::kCharDevice : Type::kBlockDevice;
    entry.dev_major = major(status.st_rdev);
    entry.dev_minor = minor(status.st_rdev);
  }
  return writer_.header(entry);
}

/// Stretches of data, when the file has holes worth telling of.
Result<void> Differ::find_extents(int fd, Entry& entry) {
  const auto size = static_cast<off_t>(entry.size);
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return sys_error("lseek", entry.path);
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole < 0) return sys_error("lseek", entry.path);
    entry.extents.push_back({static_cast<uint64_t>(data), static_cast<uint64_t>(std::min(hole, size) - data)});
    at = hole;
    // A map has its bounds (the reader's too); beyond, the rest counts as data.
    if (entry.extents.size() == 4096) {
      entry.extents.back().length = entry.size - entry.extents.back().offset;
      break;
    }
  }
  entry.sparse = true;
  entry.stored = 0;
  for (const Extent& extent : entry.extents) entry.stored += extent.length;
  return {};
}

Result<void> Differ::file(int directory, const std::string& name, Entry& entry, const struct stat& status) {
  UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME));
  if (!fd) return sys_error("openat", entry.path);
  entry.size = entry.stored = static_cast<uint64_t>(status.st_size);
  if (static_cast<uint64_t>(status.st_blocks) * 512 < entry.size) BERTH_TRY(find_extents(fd.get(), entry));
  if (entry.sparse && entry.stored == entry.size) {  // compressed by the file system, not sparse
    entry.sparse = false;
    entry.extents.clear();
  }
  BERTH_TRY(writer_.header(entry));
  if (!entry.sparse) BERTH_TRY(copy(fd.get(), 0, entry.size, entry.path));
  for (const Extent& extent : entry.extents) BERTH_TRY(copy(fd.get(), extent.offset, extent.length, entry.path));
  return writer_.end_member();
}

Result<void> Differ::copy(int fd, uint64_t offset, uint64_t length, const std::string& path) {
  while (length > 0) {
    const ssize_t count = ::pread(fd, buffer_.data(), std::min<uint64_t>(length, buffer_.size()), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("pread", path);
    if (count == 0) return Error{EIO, "diff", path, "the file became shorter meanwhile"};
    BERTH_TRY(writer_.write_data({buffer_.data(), static_cast<size_t>(count)}));
    offset += static_cast<uint64_t>(count);
    length -= static_cast<uint64_t>(count);
  }
  return {};
}

Result<void> add_usage(int directory, const std::string& path, std::set<InodeKey>& seen, Usage& usage) {
  BERTH_ASSIGN(const auto names, sorted_names(directory, path));
  for (const std::string& name : names) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // a container may be running on it
      return sys_error("fstatat", path + "/" + name);
    }
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !seen.insert({status.st_dev, status.st_ino}).second) continue;
    usage.bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    usage.inodes += 1;
    if (!S_ISDIR(status.st_mode)) continue;
    UniqueFd child(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child && errno == ENOENT) continue;
    if (!child) return sys_error("openat", path + "/" + name);
    BERTH_TRY(add_usage(child.get(), path + "/" + name, seen, usage));
  }
  return {};
}

}  // namespace

Result<DiffResult> diff_layer(const DiffOptions& options, const std::function<Result<void>(std::span<const uint8_t>)>& give) {
  UniqueFd root(::open(options.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", options.upper);
  DiffOutput output(options.gzip, give);
  TarWriter writer(output);
  Differ differ(options, writer);
  BERTH_TRY(differ.walk(root.get(), ""));
  BERTH_TRY(writer.finish());
  return output.finish();
}

Result<Usage> disk_usage(const std::string& path) {
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", path);
  struct stat status {};
  if (::fstat(root.get(), &status) != 0) return sys_error("fstat", path);
  Usage usage{static_cast<uint64_t>(status.st_blocks) * 512, 1};
  std::set<InodeKey> seen;
  BERTH_TRY(add_usage(root.get(), path, seen, usage));
  return usage;
}

}  // namespace berth::tar
