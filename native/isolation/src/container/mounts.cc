// The mounts of config.json, in order, each on a destination that can't lead out of the root file system.
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string_view>

#include "base/file.h"
#include "container/mount_options.h"
#include "container/paths.h"
#include "container/setup.h"

namespace berth::container {

namespace {

struct Job {
  const oci::Mount& mount;
  MountOptions options;
  size_t index;
};

/// Flags that a remount in a user namespace may not take away.
unsigned long locked_flags(const std::string& path) {
  struct statvfs info;
  if (::statvfs(path.c_str(), &info) != 0) return 0;
  unsigned long flags = 0;
  if ((info.f_flag & ST_RDONLY) != 0) flags |= MS_RDONLY;
  if ((info.f_flag & ST_NOSUID) != 0) flags |= MS_NOSUID;
  if ((info.f_flag & ST_NODEV) != 0) flags |= MS_NODEV;
  if ((info.f_flag & ST_NOEXEC) != 0) flags |= MS_NOEXEC;
  if ((info.f_flag & ST_NOATIME) != 0) flags |= MS_NOATIME;
  if ((info.f_flag & ST_NODIRATIME) != 0) flags |= MS_NODIRATIME;
  if ((info.f_flag & ST_RELATIME) != 0) flags |= MS_RELATIME;
  return flags;
}

constexpr unsigned long kPerMount =
    MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | 256 /* MS_NOSYMFOLLOW */;

/// What other runtimes and lxcfs put over files of proc, and what does no harm there.
constexpr std::string_view kInProc[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",   "/proc/swaps",
    "/proc/uptime",  "/proc/loadavg",   "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
};

/// A mount inside proc could make writes of ours (labels to /proc/self/attr, sysctls) go somewhere else, and an image's
/// links can lead any destination there.
Result<void> check_not_in_proc(const Job& job, int target) {
  struct statfs info;
  if (::fstatfs(target, &info) != 0) return sys_error("fstatfs", job.mount.destination);
  if (info.f_type != PROC_SUPER_MAGIC || job.mount.type == "proc") return {};
  const std::string path = clean_path(job.mount.destination);
  if (std::find(std::begin(kInProc), std::end(kInProc), path) != std::end(kInProc)) return {};
  return Error{EPERM, "mount", job.mount.destination, "the destination is inside proc"};
}

/// The mount point: made if missing, a file for a bind of a file.
Result<UniqueFd> destination(const Setup& setup, const Job& job, Make kind) {
  auto target = job.options.destination_nofollow
                    ? open_in_root(setup.root.get(), job.mount.destination, O_PATH | O_NOFOLLOW)
                    : Result<UniqueFd>(Error{ENOENT, "", "", ""});
  if (!target) target = ensure_in_root(setup.root.get(), job.mount.destination, kind);
  if (target) BERTH_TRY(check_not_in_proc(job, target->get()));
  return target;
}

/// What is mounted at the destination now.
Result<UniqueFd> mounted(const Setup& setup, const Job& job) {
  return open_in_root(setup.root.get(), job.mount.destination,
                      O_PATH | (job.options.destination_nofollow ? O_NOFOLLOW : 0));
}

Result<void> set_propagation(const std::string& path, const Job& job) {
  for (const unsigned long flags : job.options.propagation)
    if (::mount(nullptr, path.c_str(), nullptr, flags, nullptr) != 0)
      return sys_error("mount propagation", job.mount.destination);
  return {};
}

Result<void> set_recursive(int target, const Job& job) {
  if (job.options.recursive_set == 0 && job.options.recursive_clear == 0) return {};
  mount_attr attr{};
  attr.attr_set = job.options.recursive_set;
  attr.attr_clr = job.options.recursive_clear;
  if (::syscall(SYS_mount_setattr, target, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
    return sys_error("mount_setattr", job.mount.destination);
  return {};
}

/// Everything that is set on a mount that stands: bind flags, propagation, recursive attributes.
Result<void> finish(const Setup& setup, const Job& job) {
  const bool flags = job.options.bind() && ((job.options.flags & kPerMount) != 0 || (job.options.cleared & kPerMount) != 0);
  if (!flags && job.options.propagation.empty() && job.options.recursive_set == 0 && job.options.recursive_clear == 0)
    return {};
  BERTH_ASSIGN(const UniqueFd target, mounted(setup, job));
  const std::string path = fd_path(target.get());
  if (flags) {
    unsigned long wanted = job.options.flags & kPerMount;
    // A bind keeps what its source's mount has, unless a word takes it away.
    wanted |= locked_flags(path) & ~job.options.cleared;
    BERTH_TRY(remount(path, MS_BIND | wanted, job.mount.destination));
  }
  BERTH_TRY(set_propagation(path, job));
  return set_recursive(target.get(), job);
}

/// The link itself is made anew instead of binding what it points to (for hosts where that is inside the container).
Result<bool> copied_symlink(const Setup& setup, const Job& job, const std::string& source) {
  if (!job.options.copy_symlink) return false;
  char text[PATH_MAX];
  const ssize_t length = ::readlink(source.c_str(), text, sizeof text - 1);
  if (length < 0) return false;
  text[length] = '\0';
  BERTH_ASSIGN(const Parent parent, ensure_parent_in_root(setup.root.get(), job.mount.destination));
  if (::symlinkat(text, parent.directory.get(), parent.name.c_str()) != 0) {
    if (errno != EEXIST) return sys_error("symlink", job.mount.destination);
    char there[PATH_MAX];
    const ssize_t got = ::readlinkat(parent.directory.get(), parent.name.c_str(), there, sizeof there);
    if (got < 0 || std::string(there, static_cast<size_t>(got)) != text)
      return Error{EEXIST, "symlink", job.mount.destination, ""};
  }
  return true;
}

Result<void> bind(Setup& setup, const Job& job) {
  std::string source = absolute(setup.options.bundle, job.mount.source);
  UniqueFd inner;
  if (!job.options.source_subpath.empty()) {
    BERTH_ASSIGN(inner, open_within(source, job.options.source_subpath));
    source = fd_path(inner.get());
  }
  BERTH_ASSIGN(const bool copied, copied_symlink(setup, job, source));
  if (copied) return {};
  BERTH_ASSIGN(const UniqueFd foreign, foreign_tree(setup.proc.get(), source, (job.options.flags & MS_REC) != 0));
  const int prepared = foreign                             ? foreign.get()
                       : job.index < setup.trees.size() ? setup.trees[job.index].get()
                                                        : -1;
  struct stat info;
  if (prepared >= 0 ? ::fstat(prepared, &info) != 0
                    : ::fstatat(AT_FDCWD, source.c_str(), &info, job.options.source_nofollow ? AT_SYMLINK_NOFOLLOW : 0) != 0)
    return sys_error("stat", job.mount.source);
  BERTH_ASSIGN(const UniqueFd target, destination(setup, job, S_ISDIR(info.st_mode) ? Make::directory : Make::file));
  if (prepared >= 0) {
    if (::syscall(SYS_move_mount, prepared, "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
      return sys_error("move_mount", job.mount.destination);
  } else if (job.options.source_nofollow) {
    const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                           ((job.options.flags & MS_REC) != 0 ? AT_RECURSIVE : 0);
    const UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, source.c_str(), flags)));
    if (!tree) return sys_error("open_tree", source);
    if (::syscall(SYS_move_mount, tree.get(), "", target.get(), "",
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
      return sys_error("move_mount", job.mount.destination);
  } else if (::mount(source.c_str(), fd_path(target.get()).c_str(), nullptr, MS_BIND | (job.options.flags & MS_REC),
                     nullptr) != 0) {
    return sys_error("mount bind " + job.mount.source, job.mount.destination);
  }
  // rprivate unless asked otherwise: a container's mounts are nobody else's.
  if (job.options.propagation.empty()) {
    BERTH_ASSIGN(const UniqueFd top, mounted(setup, job));
    if (::mount(nullptr, fd_path(top.get()).c_str(), nullptr, MS_PRIVATE | MS_REC, nullptr) != 0)
      return sys_error("mount private", job.mount.destination);
  }
  return finish(setup, job);
}

/// "gid=5" where the user namespace has no gid 5 makes the kernel refuse the mount.
std::string without_gid(const std::string& data) {
  std::string kept;
  size_t at = 0;
  while (at < data.size()) {
    const size_t end = std::min(data.find(',', at), data.size());
    const std::string word = data.substr(at, end - at);
    if (!word.starts_with("gid=")) kept += (kept.empty() ? "" : ",") + word;
    at = end + 1;
  }
  return kept;
}

bool selinux_enabled() { return ::access("/sys/fs/selinux/enforce", F_OK) == 0; }

std::string labelled(const Setup& setup, const std::string& type, std::string data) {
  const std::string& label = setup.spec.linux_.mount_label;
  if (label.empty() || type == "proc" || type == "sysfs" || !selinux_enabled()) return data;
  return data + (data.empty() ? "" : ",") + "context=\"" + label + "\"";
}

/// A tmpfs over a directory of the image looks like it, unless a mode is given.
std::string with_mode_of(const Setup& setup, const Job& job, std::string data) {
  const auto there = open_in_root(setup.root.get(), job.mount.destination, O_PATH | O_DIRECTORY);
  struct stat info;
  if (!there || ::fstat(there.value().get(), &info) != 0) return data;
  char mode[32];
  std::snprintf(mode, sizeof mode, "mode=%04o", static_cast<unsigned>(info.st_mode & 07777));
  // The last one given counts.
  return data.empty() ? mode : mode + ("," + data);
}

Result<void> file_system(Setup& setup, const Job& job) {
  const std::string& type = job.mount.type;
  const std::string source = job.mount.source.empty() ? type : job.mount.source;
  std::string data = labelled(setup, type, job.options.data);
  if (type == "tmpfs") data = with_mode_of(setup, job, std::move(data));
  UniqueFd target;
  UniqueFd hidden;  // what the new tmpfs will cover
  {
    BERTH_ASSIGN(target, destination(setup, job, Make::directory));
    if (job.options.copy_up)
      hidden.reset(::open(fd_path(target.get()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  const std::string path = fd_path(target.get());
  // Filled before it becomes read-only.
  const unsigned long first = job.options.flags & ~(job.options.copy_up ? static_cast<unsigned long>(MS_RDONLY) : 0UL);
  if (::mount(source.c_str(), path.c_str(), type.c_str(), first, data.empty() ? nullptr : data.c_str()) != 0) {
    const Error error = sys_error("mount " + type, job.mount.destination);
    if (type == "devpts" && error.code == EINVAL) {
      if (::mount(source.c_str(), path.c_str(), type.c_str(), first, without_gid(data).c_str()) != 0) return error;
    } else if (type == "sysfs" && error.code == EPERM && setup.plan.has_user) {
      // The network namespace is another user namespace's: sysfs is tied to it, but the host's may be shown.
      if (::mount("/sys", path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return error;
      // With everything below it: the host's control groups are there.
      BERTH_ASSIGN(const UniqueFd top, mounted(setup, job));
      mount_attr attr{};
      attr.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                      ((job.options.flags & MS_RDONLY) != 0 ? MOUNT_ATTR_RDONLY : 0);
      if (::syscall(SYS_mount_setattr, top.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return sys_error("mount_setattr", job.mount.destination);
    } else {
      return error;
    }
  }
  if (hidden) {
    BERTH_ASSIGN(const UniqueFd top, mounted(setup, job));
    const UniqueFd writable(::open(fd_path(top.get()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!writable) return sys_error("open", job.mount.destination);
    BERTH_TRY(copy_tree(hidden.get(), writable.get()));
    if ((job.options.flags & MS_RDONLY) != 0)
      BERTH_TRY(remount(fd_path(top.get()), MS_BIND | (job.options.flags & kPerMount), job.mount.destination));
  }
  return finish(setup, job);
}

Result<void> make_mount(Setup& setup, const Job& job) {
  const std::string& type = job.mount.type;
  if (job.options.bind() || type == "bind") return bind(setup, job);
  if ((job.options.flags & MS_REMOUNT) != 0) {
    BERTH_ASSIGN(const UniqueFd target, mounted(setup, job));
    return remount(fd_path(target.get()), job.options.flags, job.mount.destination);
  }
  if (type == "cgroup" || type == "cgroup2") {
    BERTH_TRY(mount_cgroups(setup, job.mount, job.options.flags));
    return finish(setup, job);
  }
  if (type.empty()) return bad_input("mounts[" + std::to_string(job.index) + "].type", "a file system or a bind option");
  return file_system(setup, job);
}

}  // namespace

Result<void> remount(const std::string& path, unsigned long flags, const std::string& name) {
  if (::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | flags, nullptr) == 0) return {};
  if (errno != EPERM) return sys_error("mount remount", name);
  if (::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | flags | locked_flags(path), nullptr) == 0) return {};
  return sys_error("mount remount", name);
}

Result<void> remount_readonly(const std::string& path, const std::string& name) {
  return remount(path, MS_BIND | MS_RDONLY | locked_flags(path), name);
}

Result<void> make_mounts(Setup& setup) {
  size_t index = 0;
  for (const auto& mount : setup.spec.mounts) {
    Job job{mount, parse_mount_options(mount.options), index++};
    if (job.mount.type == "bind") job.options.flags |= MS_BIND;
    BERTH_TRY(make_mount(setup, job));
    if (clean_path(mount.destination) != "/") continue;
    // Mounted over the root itself: go on in what is visible now.
    setup.root.reset(::open(setup.rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!setup.root) return sys_error("open", setup.rootfs);
  }
  return {};
}

}  // namespace berth::container
