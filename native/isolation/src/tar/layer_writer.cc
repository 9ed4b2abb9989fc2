#include "tar/layer_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <utility>

#include "tar/lower.h"

namespace berth::tar {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr mode_t kImpliedMode = 0755;

Error malformed(const std::string& object, const char* what) { return Error{EBADMSG, "tar", object, what}; }

/// A path for calls that take no directory descriptor; the magic link is our own descriptor, and nothing after it but one name.
std::string proc_path(int parent, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(parent) + (name.empty() ? "" : "/" + name);
}

struct TimePair {
  struct timespec times[2];
  explicit TimePair(struct timespec mtime) : times{mtime, mtime} {}
};

/// Attributes that this file system or kernel cannot hold are left out, as other engines do; the rest must succeed.
bool may_skip_xattr(int error, std::string_view name) {
  return error == ENOTSUP || (error == EPERM && name.starts_with("user."));
}

}  // namespace

bool xattr_allowed(std::string_view name) {
  return !name.starts_with("trusted.overlay.") && !name.starts_with("user.overlay.");
}

bool xattr_portable(std::string_view name) {
  for (const std::string_view prefix : {"trusted.overlay.", "user.overlay."}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view key = name.substr(prefix.size());
    return key != "origin" && key != "impure" && key != "nlink" && key != "upper" && key != "uuid";
  }
  return true;
}

bool LayerWriter::takes(std::string_view xattr) const {
  return options_.faithful ? xattr_portable(xattr) : xattr_allowed(xattr);
}

Result<int> LayerWriter::parent_of(std::string_view clean) {
  auto opened = directories_.open(clean);
  if (opened.ok()) return opened;
  if (opened.error().code != ENOENT && opened.error().code != ENOTDIR) return opened.error();
  BERTH_TRY(make_parents(std::string(clean)));
  return directories_.open(clean);
}

/// Makes what is missing of a path, from the top.
Result<void> LayerWriter::make_parents(const std::string& clean) {
  size_t end = 0;
  while (end != std::string::npos) {
    end = clean.find('/', end == 0 ? 0 : end + 1);
    const std::string prefix = clean.substr(0, end);
    if (directories_.open(prefix).ok()) continue;
    const Split split = split_path(prefix);
    BERTH_ASSIGN(const int parent, directories_.open(split.parent));
    const std::string name(split.name);
    if (::mkdirat(parent, name.c_str(), kImpliedMode) == 0) {
      implied_.insert(prefix);
      continue;
    }
    if (errno != EEXIST) return sys_error("mkdirat", prefix);
    // In the way: a whiteout gives way to a directory that hides what is below; anything else is the archive's fault.
    bool is_directory = false;
    BERTH_ASSIGN(const bool whiteout, is_whiteout(parent, name, is_directory));
    if (!whiteout) return Error{ENOTDIR, "tar", prefix, "a member lies below something that is no directory"};
    if (::unlinkat(parent, name.c_str(), 0) != 0) return sys_error("unlinkat", prefix);
    if (::mkdirat(parent, name.c_str(), kImpliedMode) != 0) return sys_error("mkdirat", prefix);
    BERTH_TRY(make_opaque(parent, name));
  }
  return {};
}

Result<void> LayerWriter::make_opaque(int parent, const std::string& name) {
  const std::string path = proc_path(parent, name);
  const int rc = name.empty() ? ::setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0)
                              : ::lsetxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0);
  return rc == 0 ? Result<void>{} : Result<void>{sys_error("setxattr", name)};
}

Result<bool> LayerWriter::is_whiteout(int parent, const std::string& name, bool& is_directory) {
  struct stat status {};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("fstatat", name);
  is_directory = S_ISDIR(status.st_mode);
  return options_.whiteouts && S_ISCHR(status.st_mode) && status.st_rdev == 0;
}

/// Takes away what an earlier member put at this place. `place` itself stays good; other cached directories may not.
Result<void> LayerWriter::make_room(const Place& place) {
  BERTH_TRY(remove_tree(place.parent, place.name));
  replaced_ = stale_ = true;
  // Links that wait are members too.
  const std::string below = place.path + "/";
  result_.links.erase(place.path);
  for (auto link = result_.links.lower_bound(below); link != result_.links.end() && link->first.starts_with(below);) {
    link = result_.links.erase(link);
  }
  return {};
}

Result<void> LayerWriter::add(const Entry& entry, Reader& reader) {
  if (++result_.entries > options_.max_entries) return Error{E2BIG, "tar", "layer", "too many members"};
  BERTH_ASSIGN(std::string clean, clean_path(entry.path));
  if (std::exchange(stale_, false)) directories_.clear();
  if (clean.empty()) return add_root(entry);
  const Split split = split_path(clean);
  if (options_.whiteouts && split.name.starts_with(kWhiteout)) {
    if (split.name.starts_with(kWhiteoutMeta) && split.name != kOpaque) return {};  // aufs's own files, of no meaning here
    BERTH_ASSIGN(const int above, parent_of(split.parent));
    return add_whiteout({above, std::string(split.name), clean}, split.name.substr(kWhiteout.size()));
  }
  BERTH_ASSIGN(const int parent, parent_of(split.parent));
  const Place place{parent, std::string(split.name), std::move(clean)};
  switch (entry.type) {
    case Type::kFile: return add_file(entry, place, reader);
    case Type::kDirectory: return add_directory(entry, place);
    case Type::kHardLink: return add_hard_link(entry, place);
    default: return add_node(entry, place);
  }
}

Result<void> LayerWriter::add_whiteout(const Place& place, std::string_view hidden) {
  if (place.name == kOpaque) return make_opaque(place.parent, "");
  if (hidden.empty() || hidden == "." || hidden == "..") return malformed(place.path, "a whiteout of nothing");
  const std::string name(hidden);
  if (::mknodat(place.parent, name.c_str(), S_IFCHR, 0) == 0) return {};
  if (errno != EEXIST) return sys_error("mknodat", place.path);
  // The name is in this layer too. A whiteout speaks of the layers below: a file hides them anyway, a directory must not let
  // them through.
  bool is_directory = false;
  BERTH_ASSIGN([[maybe_unused]] const bool already, is_whiteout(place.parent, name, is_directory));
  return is_directory ? make_opaque(place.parent, name) : Result<void>{};
}

Result<void> LayerWriter::write_data(int fd, const Entry& entry, Reader& reader) {
  uint64_t end = 0;
  for (;;) {
    BERTH_ASSIGN(const Piece piece, reader.data());
    if (piece.bytes.empty()) break;
    size_t done = 0;
    while (done < piece.bytes.size()) {
      const auto* bytes = piece.bytes.data() + done;
      const size_t left = piece.bytes.size() - done;
      const ssize_t count = entry.sparse ? ::pwrite(fd, bytes, left, static_cast<off_t>(piece.offset + done)) : ::write(fd, bytes, left);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return sys_error("write", entry.path);
      done += static_cast<size_t>(count);
    }
    end = piece.offset + piece.bytes.size();
  }
  if (entry.sparse && end < entry.size && ::ftruncate(fd, static_cast<off_t>(entry.size)) != 0) return sys_error("ftruncate", entry.path);
  return {};
}

Result<void> LayerWriter::add_file(const Entry& entry, const Place& place, Reader& reader) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  // Special bits only after the owner is set: chown takes them away.
  UniqueFd fd(::openat(place.parent, place.name.c_str(), kFlags, entry.mode & 0777));
  if (!fd && errno == EEXIST) {
    BERTH_TRY(make_room(place));
    fd.reset(::openat(place.parent, place.name.c_str(), kFlags, entry.mode & 0777));
  }
  if (!fd) return sys_error("openat", place.path);
  BERTH_TRY(write_data(fd.get(), entry, reader));
  result_.file_bytes += entry.size;
  if ((entry.uid != 0 || entry.gid != 0) && ::fchown(fd.get(), entry.uid, entry.gid) != 0) return sys_error("fchown", place.path);
  if ((entry.mode & 07000) != 0 && ::fchmod(fd.get(), entry.mode) != 0) return sys_error("fchmod", place.path);
  for (const auto& [name, value] : entry.xattrs) {
    if (!takes(name)) continue;
    if (::fsetxattr(fd.get(), name.c_str(), value.data(), value.size(), 0) != 0 && !may_skip_xattr(errno, name)) {
      return sys_error("fsetxattr", place.path);
    }
  }
  if (::futimens(fd.get(), TimePair(entry.mtime).times) != 0) return sys_error("utimensat", place.path);
  return {};
}

Result<void> LayerWriter::add_directory(const Entry& entry, const Place& place) {
  // The setgid bit would pass on to everything made inside; with setuid and sticky it waits for finish().
  const mode_t mode = entry.mode & 0777;
  if (::mkdirat(place.parent, place.name.c_str(), mode) != 0) {
    if (errno != EEXIST) return sys_error("mkdirat", place.path);
    bool is_directory = false;
    BERTH_ASSIGN(const bool whiteout, is_whiteout(place.parent, place.name, is_directory));
    if (is_directory) {
      implied_.erase(place.path);
      if (::fchmodat(place.parent, place.name.c_str(), mode, 0) != 0) return sys_error("fchmodat", place.path);
      if (::fchownat(place.parent, place.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return sys_error("fchownat", place.path);
      }
    } else {
      BERTH_TRY(make_room(place));
      if (::mkdirat(place.parent, place.name.c_str(), mode) != 0) return sys_error("mkdirat", place.path);
      if (whiteout) BERTH_TRY(make_opaque(place.parent, place.name));
    }
  }
  BERTH_TRY(set_owner(entry, place));
  BERTH_TRY(set_xattrs(entry, place));
  pending_.push_back({place.path, entry.mode, entry.mtime});
  return {};
}

/// "./": the layer's own root, which exists.
Result<void> LayerWriter::add_root(const Entry& entry) {
  if (entry.type != Type::kDirectory) return malformed(entry.path, "the root is no directory");
  implied_.erase("");
  UniqueFd fd(::openat(root_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("openat", "/");
  if (::fchown(fd.get(), entry.uid, entry.gid) != 0) return sys_error("fchown", "/");
  BERTH_TRY(set_xattrs(entry, Place{root_, "", ""}));
  pending_.push_back({"", entry.mode, entry.mtime});
  return {};
}

Result<void> LayerWriter::add_hard_link(const Entry& entry, const Place& place) {
  BERTH_ASSIGN(const std::string target, clean_path(entry.link));
  if (target.empty()) return malformed(place.path, "a hard link to the root");
  if (target == place.path) return {};  // a link to itself changes nothing
  const Split split = split_path(target);
  // Before the place is emptied: its parent must not be what the target's look-up pushes out of the cache.
  auto opened = open_beneath(root_, std::string(split.parent), O_PATH | O_DIRECTORY);
  if (!opened.ok() && opened.error().code == ENOENT && options_.defer_links) return defer_link(place, target);
  if (!opened.ok()) return opened.error();
  const UniqueFd from = std::move(opened).value();
  const std::string name(split.name);
  if (::linkat(from.get(), name.c_str(), place.parent, place.name.c_str(), 0) == 0) return {};
  if (errno == EEXIST) {
    BERTH_TRY(make_room(place));
    if (::linkat(from.get(), name.c_str(), place.parent, place.name.c_str(), 0) == 0) return {};
  }
  if (errno == ENOENT && options_.defer_links) return defer_link(place, target);
  return sys_error("linkat", place.path);
}

/// The target may lie in a layer below, which may not be there yet.
Result<void> LayerWriter::defer_link(const Place& place, const std::string& target) {
  const auto waiting = result_.links.find(target);
  std::string final_target = waiting == result_.links.end() ? target : waiting->second;
  if (waiting == result_.links.end()) {
    UniqueFd parent;
    BERTH_ASSIGN(const Found found, walk(root_, std::string(split_path(target).parent), parent));
    if (found == Found::kHidden || found == Found::kOpaque) {
      return malformed(place.path, "a hard link to something that is not there in this layer, which hides those below");
    }
  }
  BERTH_TRY(make_room(place));
  result_.links.insert_or_assign(place.path, std::move(final_target));
  return {};
}

Result<void> LayerWriter::add_node(const Entry& entry, const Place& place) {
  const auto make = [&]() -> int {
    switch (entry.type) {
      case Type::kSymlink: return ::symlinkat(entry.link.c_str(), place.parent, place.name.c_str());
      case Type::kFifo: return ::mknodat(place.parent, place.name.c_str(), S_IFIFO | (entry.mode & 0777), 0);
      default:
        return ::mknodat(place.parent, place.name.c_str(), (entry.type == Type::kCharDevice ? S_IFCHR : S_IFBLK) | (entry.mode & 0777),
                         makedev(entry.dev_major, entry.dev_minor));
    }
  };
  if (entry.type == Type::kSymlink && entry.link.empty()) return malformed(place.path, "a symlink to nothing");
  int rc = make();
  if (rc != 0 && errno == EEXIST) {
    BERTH_TRY(make_room(place));
    rc = make();
  }
  if (rc != 0) return sys_error(entry.type == Type::kSymlink ? "symlinkat" : "mknodat", place.path);
  BERTH_TRY(set_owner(entry, place));
  if (entry.type != Type::kSymlink && (entry.mode & 07000) != 0 && ::fchmodat(place.parent, place.name.c_str(), entry.mode, 0) != 0) {
    return sys_error("fchmodat", place.path);
  }
  BERTH_TRY(set_xattrs(entry, place));
  if (::utimensat(place.parent, place.name.c_str(), TimePair(entry.mtime).times, AT_SYMLINK_NOFOLLOW) != 0) {
    return sys_error("utimensat", place.path);
  }
  return {};
}

Result<void> LayerWriter::set_owner(const Entry& entry, const Place& place) {
  if (entry.uid == 0 && entry.gid == 0) return {};
  if (::fchownat(place.parent, place.name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("fchownat", place.path);
  return {};
}

Result<void> LayerWriter::set_xattrs(const Entry& entry, const Place& place) {
  if (entry.xattrs.empty()) return {};
  // With an empty name this is the magic link itself, which must be followed; with a name the last part is not.
  const std::string path = proc_path(place.parent, place.name);
  for (const auto& [name, value] : entry.xattrs) {
    if (!takes(name)) continue;
    const int rc = place.name.empty() ? ::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0)
                                      : ::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0);
    if (rc != 0 && !may_skip_xattr(errno, name)) return sys_error("lsetxattr", place.path);
  }
  return {};
}

Result<void> LayerWriter::finish() {
  directories_.clear();
  result_.implied.assign(implied_.begin(), implied_.end());
  for (const PendingDirectory& directory : pending_) {
    if (directory.path.empty()) {
      if (::fchmodat(root_, ".", directory.mode, 0) != 0) return sys_error("fchmodat", "/");
      if (::utimensat(root_, ".", TimePair(directory.mtime).times, 0) != 0) return sys_error("utimensat", "/");
      continue;
    }
    const Split split = split_path(directory.path);
    const auto parent = directories_.open(split.parent);
    const std::string name(split.name);
    if (replaced_) {
      struct stat status {};
      if (!parent.ok() || ::fstatat(parent.value(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode)) continue;
    }
    if (!parent.ok()) return parent.error();
    if ((directory.mode & 07000) != 0 && ::fchmodat(parent.value(), name.c_str(), directory.mode, 0) != 0) {
      return sys_error("fchmodat", directory.path);
    }
    if (::utimensat(parent.value(), name.c_str(), TimePair(directory.mtime).times, AT_SYMLINK_NOFOLLOW) != 0) {
      return sys_error("utimensat", directory.path);
    }
  }
  return {};
}

}  // namespace berth::tar
