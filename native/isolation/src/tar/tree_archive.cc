#include "tar/tree_archive.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tar/beneath.h"
#include "tar/layer_writer.h"
#include "tar/names.h"

namespace berth::tar {
namespace {

/// Files with several names that are remembered; the names of later ones become files of their own.
constexpr size_t kMaxLinks = 1'000'000;
/// Bytes of a file that an output may be asked to fetch by itself: fewer are read sooner than that is begun, and more would be one piece too long.
constexpr uint64_t kWorthSending = 64 * 1024, kStretch = 1 << 20;

std::string magic_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Entry entry_of(const struct stat& status, std::string path, bool fractions = false) {
  Entry entry;
  entry.path = std::move(path);
  entry.mode = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime.tv_sec = status.st_mtim.tv_sec;
  if (fractions) entry.mtime.tv_nsec = status.st_mtim.tv_nsec;
  return entry;
}

/// A capability that is bound to a user namespace means nothing elsewhere: revision 3 becomes revision 2 (linux/capability.h).
std::string portable_capability(std::string value) {
  constexpr size_t kRevision2Bytes = 20;
  if (value.size() > kRevision2Bytes && value[3] == 3) {
    value[3] = 2;
    value.resize(kRevision2Bytes);
  }
  return value;
}

}  // namespace

bool is_kernel_file_system(int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) return true;
  switch (static_cast<unsigned long>(info.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
    case EFIVARFS_MAGIC:
    case PSTOREFS_MAGIC:
    case BINFMTFS_MAGIC:
    case SELINUX_MAGIC:
    case 0x19800202:  // mqueue
    case 0x62656570:  // configfs
    case 0x65735543:  // fusectl
      return true;
    default:
      return false;
  }
}

Result<void> TreeArchiver::gone(const char* call, const std::string& path) const {
  const int code = errno;
  if (options_.live) {
    for (const int expected : {ENOENT, ENOTDIR, ELOOP, ESTALE, EACCES, EPERM, ENXIO, ENODEV}) {
      if (code == expected) return {};
    }
  }
  errno = code;
  return sys_error(call, path);
}

Result<void> TreeArchiver::directory(UniqueFd directory, const std::string& prefix, bool self) {
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return sys_error("fstat", prefix);
  Level level;
  if (!options_.lower.empty()) {
    BERTH_ASSIGN(level.lower, LowerDirs::open(options_.lower));
  }
  level.device = status.st_dev;
  level.prefix = prefix;
  if (self) {
    Entry entry = entry_of(status, prefix.empty() ? "./" : prefix, options_.faithful);
    entry.type = Type::kDirectory;
    if (options_.faithful) BERTH_TRY(read_xattrs(directory.get(), entry, level.opaque));
    BERTH_TRY(writer_.header(entry));
  }
  if (!options_.skip_kernel || !is_kernel_file_system(directory.get())) {
    BERTH_ASSIGN(level.names, sorted_names(directory.get(), prefix));
  }
  level.fd = std::move(directory);
  levels_.push_back(std::move(level));
  return run();
}

Result<void> TreeArchiver::node(UniqueFd directory, const std::string& name) {
  Level level;
  struct stat status {};
  if (::fstat(directory.get(), &status) != 0) return sys_error("fstat", name);
  level.device = status.st_dev;
  level.fd = std::move(directory);
  level.names = {name};
  levels_.push_back(std::move(level));
  return run();
}

Result<void> TreeArchiver::run() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    const std::string name = std::move(level.names[level.next++]);
    BERTH_TRY(member(name));
  }
  return {};
}

Result<void> TreeArchiver::flush() {
  for (Level& level : levels_) {
    if (!level.pending) continue;
    const Entry entry = *std::exchange(level.pending, std::nullopt);
    BERTH_TRY(writer_.header(entry));
    if (level.opaque && options_.whiteouts) BERTH_TRY(marker(level.prefix + ".wh..wh..opq"));
  }
  return {};
}

Result<void> TreeArchiver::marker(const std::string& path) {
  Entry entry;
  entry.path = path;
  entry.mode = 0600;
  BERTH_TRY(writer_.header(entry));
  return writer_.end_member();
}

/// A mount point of the engine's own, empty as it was made, which the layers below do not have.
Result<bool> TreeArchiver::is_ignored(const Level& level, const std::string& name, const std::string& path, int node,
                                      const struct stat& status) {
  if (!options_.ignored.contains(path)) return false;
  BERTH_ASSIGN(const auto below, level.lower.find(name));
  if (below) return false;
  if (S_ISREG(status.st_mode)) return status.st_size == 0;
  if (!S_ISDIR(status.st_mode)) return false;
  const UniqueFd directory(::open(magic_path(node).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  BERTH_ASSIGN(const auto names, sorted_names(directory.get(), path));
  return names.empty();
}

Result<void> TreeArchiver::member(const std::string& name) {
  Level& level = levels_.back();
  const std::string path = level.prefix + name;
  if (path.size() >= PATH_MAX) {
    if (options_.live && !options_.whiteouts) return {};  // no reader could make it
    return Error{ENAMETOOLONG, "diff", path.substr(0, 64) + "…", "a path of more than 4095 bytes"};
  }
  UniqueFd node(::openat(level.fd.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!node) return gone("openat", path);
  struct stat status {};
  if (::fstat(node.get(), &status) != 0) return gone("fstat", path);
  if (S_ISSOCK(status.st_mode)) return {};
  BERTH_ASSIGN(const bool ignored, is_ignored(level, name, path, node.get(), status));
  if (ignored) return {};
  if (options_.whiteouts && is_whiteout(status)) {
    BERTH_TRY(flush());
    return marker(level.prefix + ".wh." + name);
  }
  Entry entry = entry_of(status, path, options_.faithful);
  if (S_ISDIR(status.st_mode)) return enter(level, name, std::move(node), std::move(entry), status);
  if (options_.skip_kernel && status.st_dev != level.device && is_kernel_file_system(node.get())) return {};
  if (status.st_nlink > 1) {
    const InodeKey key{status.st_dev, status.st_ino};
    const auto first = links_.find(key);
    if (first != links_.end()) {
      BERTH_TRY(flush());
      entry.type = Type::kHardLink;
      entry.link = first->second;
      return writer_.header(entry);
    }
    if (links_.size() < kMaxLinks) links_.emplace(key, path);
  }
  return S_ISREG(status.st_mode) ? file(std::move(node), entry, status) : special(node.get(), entry, status);
}

Result<void> TreeArchiver::enter(Level& above, const std::string& name, UniqueFd node, Entry entry, const struct stat& status) {
  Level level;
  level.fd.reset(::open(magic_path(node.get()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!level.fd) return gone("openat", entry.path);
  entry.type = Type::kDirectory;
  entry.path += '/';
  level.prefix = entry.path;
  level.device = status.st_dev;
  BERTH_TRY(read_xattrs(node.get(), entry, level.opaque));
  const bool kernels = options_.skip_kernel && status.st_dev != above.device && is_kernel_file_system(level.fd.get());
  if (!kernels) {
    BERTH_ASSIGN(level.names, sorted_names(level.fd.get(), entry.path));
  }
  bool same = false;
  if (!above.lower.empty()) {
    BERTH_ASSIGN(const auto below, above.lower.find(name));
    // Times of directories are no change: making and removing something sets them.
    same = below && below->status.st_mode == status.st_mode && below->status.st_uid == status.st_uid &&
           below->status.st_gid == status.st_gid && !level.opaque;
    if (below && S_ISDIR(below->status.st_mode) && !level.opaque) {
      BERTH_ASSIGN(level.lower, above.lower.enter(name));
    }
  }
  level.pending = std::move(entry);
  levels_.push_back(std::move(level));
  return same ? Result<void>{} : flush();
}

Result<void> TreeArchiver::special(int node, Entry& entry, const struct stat& status) {
  bool opaque = false;
  BERTH_TRY(read_xattrs(node, entry, opaque));
  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(node, "", target, sizeof target);
    if (length < 0) return gone("readlinkat", entry.path);
    entry.type = Type::kSymlink;
    entry.link.assign(target, static_cast<size_t>(length));
  } else if (S_ISFIFO(status.st_mode)) {
    entry.type = Type::kFifo;
  } else {
    entry.type = S_ISCHR(status.st_mode) ? Type::kCharDevice : Type::kBlockDevice;
    entry.dev_major = major(status.st_rdev);
    entry.dev_minor = minor(status.st_rdev);
  }
  BERTH_TRY(flush());
  return writer_.header(entry);
}

Result<void> TreeArchiver::read_xattrs(int node, Entry& entry, bool& opaque) {
  const std::string path = magic_path(node);
  if (!options_.all_xattrs) {
    const ssize_t length = ::getxattr(path.c_str(), "security.capability", value_.data(), value_.size());
    if (length > 0) entry.xattrs.emplace_back("security.capability", portable_capability({value_.data(), static_cast<size_t>(length)}));
    return {};
  }
  const ssize_t size = ::listxattr(path.c_str(), names_.data(), names_.size());
  if (size < 0 && errno != ENOTSUP) return gone("listxattr", entry.path);
  for (const char* key = names_.data(); key < names_.data() + std::max<ssize_t>(size, 0); key += std::strlen(key) + 1) {
    const ssize_t length = ::getxattr(path.c_str(), key, value_.data(), value_.size());
    if (length < 0) continue;
    const std::string_view value(value_.data(), static_cast<size_t>(length));
    const std::string_view key_view(key);
    if (key_view == "trusted.overlay.opaque" && value == "y") opaque = true;
    // The content would be elsewhere: our mounts forbid these, so someone else's tree is being read.
    if (options_.faithful) {
      if (xattr_portable(key_view)) entry.xattrs.emplace_back(key_view, value);
      continue;
    }
    if (key_view == "trusted.overlay.redirect" || key_view == "trusted.overlay.metacopy") {
      return Error{ENOTSUP, "diff", entry.path, "the directory was written with redirect_dir or metacopy"};
    }
    if (xattr_allowed(key_view)) entry.xattrs.emplace_back(key_view, value);
  }
  std::sort(entry.xattrs.begin(), entry.xattrs.end());
  return {};
}

/// Stretches of data, when the file has holes worth telling of.
Result<void> TreeArchiver::find_extents(int fd, Entry& entry) {
  const auto size = static_cast<off_t>(entry.size);
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return sys_error("lseek", entry.path);
    if (data >= size) break;
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

Result<void> TreeArchiver::file(UniqueFd node, Entry& entry, const struct stat& status) {
  // Opened anew from the descriptor that was looked at: nothing else can have taken the name's place.
  UniqueFd fd(::open(magic_path(node.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME));
  if (!fd && errno == EPERM) fd.reset(::open(magic_path(node.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return gone("open", entry.path);
  bool opaque = false;
  BERTH_TRY(read_xattrs(node.get(), entry, opaque));
  entry.size = entry.stored = static_cast<uint64_t>(status.st_size);
  if (options_.sparse && static_cast<uint64_t>(status.st_blocks) * 512 < entry.size) BERTH_TRY(find_extents(fd.get(), entry));
  if (entry.sparse && entry.stored == entry.size) {  // compressed by the file system, not sparse
    entry.sparse = false;
    entry.extents.clear();
  }
  BERTH_TRY(flush());
  BERTH_TRY(writer_.header(entry));
  if (!entry.sparse) BERTH_TRY(copy(fd.get(), 0, entry.size, entry.path));
  for (const Extent& extent : entry.extents) BERTH_TRY(copy(fd.get(), extent.offset, extent.length, entry.path));
  return writer_.end_member();
}

Result<void> TreeArchiver::copy(int fd, uint64_t offset, uint64_t length, const std::string& path) {
  while (length > 0) {
    // A layer's tree must not change: of one, a file that became shorter is told of.
    const uint64_t stretch = std::min<uint64_t>(length, kStretch);
    if (options_.live && stretch >= kWorthSending) {
      BERTH_ASSIGN(const bool sent, writer_.send_file(fd, offset, stretch));
      if (sent) {
        offset += stretch;
        length -= stretch;
        continue;
      }
    }
    const size_t wanted = std::min<uint64_t>(length, buffer_.size());
    ssize_t count = ::pread(fd, buffer_.data(), wanted, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (!options_.live) return count < 0 ? sys_error("pread", path) : Error{EIO, "diff", path, "the file became shorter meanwhile"};
      // The header has promised the bytes.
      std::memset(buffer_.data(), 0, wanted);
      count = static_cast<ssize_t>(wanted);
    }
    BERTH_TRY(writer_.write_data({buffer_.data(), static_cast<size_t>(count)}));
    offset += static_cast<uint64_t>(count);
    length -= static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace berth::tar
