#include "tar/tree_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tar/layer_writer.h"
#include "tar/tree_archive.h"

namespace berth::tar {
namespace {

/// A container that puts something under a name as often as we take it away is not waited for.
constexpr int kMaxTries = 16;
constexpr mode_t kImpliedMode = 0755;

std::string magic_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

const char* kind_of(mode_t mode) { return S_ISDIR(mode) ? "directory" : "non-directory"; }

mode_t type_bits(Type type) {
  switch (type) {
    case Type::kSymlink: return S_IFLNK;
    case Type::kFifo: return S_IFIFO;
    case Type::kCharDevice: return S_IFCHR;
    case Type::kBlockDevice: return S_IFBLK;
    case Type::kDirectory: return S_IFDIR;
    default: return S_IFREG;
  }
}

}  // namespace

/// Where a member belongs. Absolute names count from the directory too; EPERM for what leads out of it.
Result<std::string> TreeWriter::target_of(const std::string& path) const {
  auto clean = clean_path(path);
  // "/../x" is "/x"; "../x" is not.
  if (!clean.ok() && path.starts_with('/')) {
    size_t at = 0;
    while (path.compare(at, 3, "/..") == 0) at += 3;
    clean = clean_path(std::string_view(path).substr(at));
  }
  if (!clean.ok()) return Error{EPERM, "untar", options_.directory, "invalid entry name \"" + path.substr(0, 4096) + "\""};
  const std::string base = options_.directory == "/" ? "" : options_.directory.substr(1);
  if (clean.value().empty()) return base;
  return base.empty() ? clean.value() : base + "/" + clean.value();
}

Result<int> TreeWriter::parent_of(const std::string& path) {
  auto opened = directories_.open(path);
  if (opened.ok() || opened.error().code != ENOENT) return opened;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end == 0 ? 0 : end + 1);
    const std::string prefix = path.substr(0, end);
    if (directories_.open(prefix).ok()) continue;
    const Split split = split_path(prefix);
    BERTH_ASSIGN(const int parent, directories_.open(split.parent));
    if (::mkdirat(parent, std::string(split.name).c_str(), kImpliedMode) != 0 && errno != EEXIST) return sys_error("mkdir", "/" + prefix);
  }
  return directories_.open(path);
}

Result<void> TreeWriter::add(const Entry& entry, Reader& reader) {
  if (++entries_ > options_.max_entries) return Error{E2BIG, "untar", "archive", "too many members"};
  BERTH_ASSIGN(std::string path, target_of(entry.path));
  if (std::exchange(stale_, false)) directories_.clear();
  // The directory itself is there, and stays as it is.
  if (path == (options_.directory == "/" ? "" : options_.directory.substr(1))) return {};
  const Split split = split_path(path);
  BERTH_ASSIGN(const int parent, parent_of(std::string(split.parent)));
  // Nothing of a container's: what other engines write there nobody sees.
  if (is_kernel_file_system(parent)) return {};
  const Place place{parent, std::string(split.name), path};
  BERTH_ASSIGN(const bool empty, make_room(entry, place));
  switch (entry.type) {
    case Type::kFile: return add_file(entry, place, reader);
    case Type::kDirectory: return add_directory(entry, place, !empty);
    case Type::kHardLink: return add_hard_link(entry, place);
    default: return add_node(entry, place);
  }
}

Result<bool> TreeWriter::make_room(const Entry& entry, const Place& place) {
  struct stat status {};
  if (::fstatat(place.parent, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return true;
    return sys_error("lstat", "/" + place.path);
  }
  const bool is_directory = entry.type == Type::kDirectory;
  if (S_ISDIR(status.st_mode) && is_directory) return false;
  if (options_.keep_kind && S_ISDIR(status.st_mode) != is_directory) {
    const std::string name = options_.directory == "/" ? place.path : place.path.substr(options_.directory.size());
    const std::string what = std::string("cannot overwrite ") + kind_of(status.st_mode) + " \"" + name + "\" with " +
                             (is_directory ? "directory" : "non-directory") + " \"" + options_.directory + "\"";
    return Error{EEXIST, "untar", "/" + place.path, what};
  }
  BERTH_TRY(remove_tree(place.parent, place.name, true));
  if (S_ISDIR(status.st_mode)) stale_ = true;
  return true;
}

Result<void> TreeWriter::set_owner(int fd, const Entry& entry, const std::string& path) {
  const uid_t uid = options_.owner ? options_.owner->first : entry.uid;
  const gid_t gid = options_.owner ? options_.owner->second : entry.gid;
  if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0) return sys_error("lchown", "/" + path);
  return {};
}

Result<void> TreeWriter::set_xattrs(int fd, const Entry& entry, const std::string& path) {
  for (const auto& [name, value] : entry.xattrs) {
    if (!xattr_allowed(name)) continue;
    if (::setxattr(magic_path(fd).c_str(), name.c_str(), value.data(), value.size(), 0) != 0 && errno != EPERM) {
      return sys_error("setxattr " + name, "/" + path);
    }
  }
  return {};
}

/// Owner, attributes, mode, times of what `fd` (O_PATH or open) refers to, in this order: chown takes set-id bits and capabilities away.
Result<void> TreeWriter::describe(int fd, const Entry& entry, const std::string& path) {
  BERTH_TRY(set_owner(fd, entry, path));
  BERTH_TRY(set_xattrs(fd, entry, path));
  const bool is_link = entry.type == Type::kSymlink;
  if (!is_link && ::chmod(magic_path(fd).c_str(), entry.mode & 07777) != 0) return sys_error("chmod", "/" + path);
  const struct timespec times[2] = {entry.mtime, entry.mtime};
  if (entry.type == Type::kDirectory) return {};
  // By the magic link, which old kernels need; it leads to the link itself where fd is one.
  if (::utimensat(fd, "", times, AT_EMPTY_PATH) != 0 && (is_link || ::utimensat(AT_FDCWD, magic_path(fd).c_str(), times, 0) != 0)) {
    return is_link ? Result<void>{} : Result<void>{sys_error("utimensat", "/" + path)};
  }
  return {};
}

Result<void> TreeWriter::add_file(const Entry& entry, const Place& place, Reader& reader) {
  UniqueFd fd;
  for (int tries = 0;; ++tries) {
    fd.reset(::openat(place.parent, place.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd || errno != EEXIST || tries == kMaxTries) break;
    BERTH_TRY(remove_tree(place.parent, place.name, true));
  }
  if (!fd) return sys_error("open", "/" + place.path);
  uint64_t end = 0;
  for (;;) {
    BERTH_ASSIGN(const Piece piece, reader.data());
    if (piece.bytes.empty()) break;
    for (size_t done = 0; done < piece.bytes.size();) {
      const ssize_t count =
          ::pwrite(fd.get(), piece.bytes.data() + done, piece.bytes.size() - done, static_cast<off_t>(piece.offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return sys_error("write", "/" + place.path);
      done += static_cast<size_t>(count);
    }
    end = piece.offset + piece.bytes.size();
  }
  if (end < entry.size && ::ftruncate(fd.get(), static_cast<off_t>(entry.size)) != 0) return sys_error("ftruncate", "/" + place.path);
  return describe(fd.get(), entry, place.path);
}

Result<void> TreeWriter::add_directory(const Entry& entry, const Place& place, bool there) {
  if (!there && ::mkdirat(place.parent, place.name.c_str(), 0700) != 0 && errno != EEXIST) return sys_error("mkdir", "/" + place.path);
  const UniqueFd fd(::openat(place.parent, place.name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", "/" + place.path);
  if (is_kernel_file_system(fd.get())) return {};
  BERTH_TRY(describe(fd.get(), entry, place.path));
  pending_.push_back({place.path, entry.mtime});
  return {};
}

Result<void> TreeWriter::add_hard_link(const Entry& entry, const Place& place) {
  auto clean = clean_path(entry.link);
  if (!clean.ok()) return Error{EPERM, "untar", options_.directory, "invalid hardlink target \"" + entry.link + "\""};
  const std::string base = options_.directory == "/" ? "" : options_.directory.substr(1) + "/";
  const std::string target = base + clean.value();
  const Split split = split_path(target);
  BERTH_ASSIGN(const UniqueFd from, open_beneath(root_, std::string(split.parent), O_PATH | O_DIRECTORY));
  const std::string name(split.name);
  for (int tries = 0; ::linkat(from.get(), name.c_str(), place.parent, place.name.c_str(), 0) != 0; ++tries) {
    if (errno != EEXIST || tries == kMaxTries) return sys_error("link", "/" + place.path);
    BERTH_TRY(remove_tree(place.parent, place.name, true));
  }
  return {};
}

Result<void> TreeWriter::add_node(const Entry& entry, const Place& place) {
  const mode_t type = type_bits(entry.type);
  const auto make = [&] {
    if (entry.type == Type::kSymlink) return ::symlinkat(entry.link.c_str(), place.parent, place.name.c_str());
    const dev_t device = entry.type == Type::kFifo ? 0 : makedev(entry.dev_major, entry.dev_minor);
    return ::mknodat(place.parent, place.name.c_str(), type | 0600, device);
  };
  for (int tries = 0; make() != 0; ++tries) {
    if (errno != EEXIST || tries == kMaxTries) return sys_error(entry.type == Type::kSymlink ? "symlink" : "mknod", "/" + place.path);
    BERTH_TRY(remove_tree(place.parent, place.name, true));
  }
  const UniqueFd fd(::openat(place.parent, place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  // Taken away, or something else put there, by the container: then it is not ours to describe.
  if (!fd || ::fstat(fd.get(), &status) != 0 || (status.st_mode & S_IFMT) != type) return {};
  return describe(fd.get(), entry, place.path);
}

Result<void> TreeWriter::finish() {
  directories_.clear();
  for (const PendingDirectory& directory : pending_) {
    const auto fd = open_beneath(root_, directory.path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!fd.ok()) continue;  // gone since
    const struct timespec times[2] = {directory.mtime, directory.mtime};
    if (::utimensat(fd.value().get(), "", times, AT_EMPTY_PATH) != 0 &&
        ::utimensat(AT_FDCWD, magic_path(fd.value().get()).c_str(), times, 0) != 0) {
      return sys_error("utimensat", "/" + directory.path);
    }
  }
  return {};
}

}  // namespace berth::tar
