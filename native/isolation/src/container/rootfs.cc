// The root file system: its mount, pivot_root, and what is read-only or hidden in it.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container/mount_options.h"
#include "container/paths.h"
#include "container/rootfs_mounts.h"
#include "container/setup.h"

namespace berth::container {

namespace {

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// What the host's mounts are while the container's are made. rslave unless asked otherwise: what is mounted on the host
/// later still appears below shared binds, nothing goes the other way. Unbindable comes last: it forbids our own binds.
unsigned long first_propagation(unsigned long wanted) {
  if (wanted == 0) return MS_SLAVE | MS_REC;
  if ((wanted & MS_UNBINDABLE) != 0) return MS_PRIVATE | MS_REC;
  return wanted | MS_REC;
}

Result<void> bind_on_itself(const std::string& rootfs) {
  if (::mount(rootfs.c_str(), rootfs.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return sys_error("mount bind", rootfs);
  return {};
}

}  // namespace

Result<void> make_parent_private(const std::string& path) {
  for (std::string at = path;;) {
    if (::mount(nullptr, at.c_str(), nullptr, MS_PRIVATE, nullptr) == 0) return {};
    if (errno != EINVAL) return sys_error("mount private", at);  // EINVAL: not a mount point, look above
    if (at == "/") return {};
    at = parent_of(at);
  }
}

Result<void> prepare_rootfs(Setup& setup) {
  const bool own_mounts = setup.plan.own(CLONE_NEWNS);
  BERTH_ASSIGN(const unsigned long wanted, propagation_flags(setup.spec.linux_.rootfs_propagation));
  if (own_mounts) {
    if (::mount(nullptr, "/", nullptr, first_propagation(wanted), nullptr) != 0)
      return sys_error("mount propagation", "/");
    // Else the mounts below would appear on the host, and pivot_root refuses.
    if ((wanted & MS_SHARED) != 0) BERTH_TRY(make_parent_private(parent_of(setup.rootfs)));
  }
  if (!setup.options.staged_mounts.empty()) {
    if (!own_mounts || setup.plan.has_user) return bad_input("stagedMounts", "a mount namespace, and no user namespace");
    BERTH_TRY(make_parent_private(setup.options.bundle));
    for (const StagedMount& staged : setup.options.staged_mounts)
      BERTH_TRY(mount_rootfs({staged.mount}, setup.options.bundle + "/" + staged.at));
  }
  if (setup.rootfs_tree.valid()) {
    if (::syscall(SYS_move_mount, setup.rootfs_tree.get(), "", AT_FDCWD, setup.rootfs.c_str(),
                  MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return sys_error("move_mount", setup.rootfs);
  } else if (!setup.options.rootfs_mounts.empty()) {
    BERTH_TRY(mount_rootfs(setup.options.rootfs_mounts, setup.rootfs));
  } else if (own_mounts) {
    BERTH_TRY(bind_on_itself(setup.rootfs));
  }
  // Only the root mount itself: binds of shared trees below it stay shared with the host, as asked for.
  if (own_mounts && (wanted & MS_SHARED) != 0 &&
      ::mount(nullptr, setup.rootfs.c_str(), nullptr, MS_PRIVATE, nullptr) != 0)
    return sys_error("mount private", setup.rootfs);
  setup.root.reset(::open(setup.rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!setup.root) return sys_error("open", setup.rootfs);
  return {};
}

namespace {

/// Swaps the roots without needing a directory for the old one: it is stacked on the new and then detached.
Result<void> pivot(const Setup& setup) {
  UniqueFd old_root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!old_root) return sys_error("open", "/");
  if (::fchdir(setup.root.get()) != 0) return sys_error("chdir", setup.rootfs);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return sys_error("pivot_root", setup.rootfs);
  if (::fchdir(old_root.get()) != 0) return sys_error("chdir", "old root");
  // The detaching below must not reach mounts of the host that are shared with ours.
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return sys_error("mount slave", "old root");
  if (::umount2(".", MNT_DETACH) != 0) return sys_error("umount", "old root");
  return {};
}

/// Where pivot_root is impossible (the host runs from an initramfs): the old root is covered, and what it carries of
/// proc and sysfs is detached first, since it would stay reachable for a process that mounts proc again.
Result<void> move_root(const Setup& setup) {
  if (::fchdir(setup.root.get()) != 0) return sys_error("chdir", setup.rootfs);
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return sys_error("mount move", setup.rootfs);
  if (::chroot(".") != 0) return sys_error("chroot", setup.rootfs);
  return {};
}

}  // namespace

Result<void> enter_rootfs(Setup& setup) {
  if (!setup.plan.own(CLONE_NEWNS)) {
    if (::fchdir(setup.root.get()) != 0) return sys_error("chdir", setup.rootfs);
    if (::chroot(".") != 0) return sys_error("chroot", setup.rootfs);
  } else if (setup.options.no_pivot) {
    BERTH_TRY(move_root(setup));
  } else {
    BERTH_TRY(pivot(setup));
  }
  if (::chdir("/") != 0) return sys_error("chdir", "/");
  setup.root.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!setup.root) return sys_error("open", "/");
  BERTH_ASSIGN(const unsigned long wanted, propagation_flags(setup.spec.linux_.rootfs_propagation));
  if (setup.plan.own(CLONE_NEWNS) && wanted != 0 && ::mount(nullptr, "/", nullptr, wanted, nullptr) != 0)
    return sys_error("mount propagation", "/");
  return {};
}

namespace {

/// A mask must hide also what would be reached through other names, so directories get an empty read-only tmpfs and
/// files the null device.
Result<void> mask(const Setup& setup, const std::string& path, UniqueFd& null) {
  auto target = open_in_root(setup.root.get(), path, O_PATH);
  if (!target) {
    if (target.error().code == ENOENT || target.error().code == EACCES || target.error().code == ENOTDIR) return {};
    return target.error();
  }
  struct stat info;
  if (::fstat(target->get(), &info) != 0) return sys_error("fstat", path);
  const std::string at = "/proc/self/fd/" + std::to_string(target->get());
  if (S_ISDIR(info.st_mode)) {
    if (::mount("tmpfs", at.c_str(), "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1") != 0)
      return sys_error("mount mask", path);
    return {};
  }
  if (!null) {
    auto opened = open_in_root(setup.root.get(), "/dev/null", O_PATH);
    if (!opened) return opened.error();
    struct stat device;
    // A hostile image could have put anything there.
    if (::fstat(opened->get(), &device) != 0 || !S_ISCHR(device.st_mode) || device.st_rdev != makedev_null())
      return Error{ENODEV, "mount mask", path, "/dev/null in the container is not the null device"};
    null = std::move(*opened);
  }
  const std::string source = "/proc/self/fd/" + std::to_string(null.get());
  if (::mount(source.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) != 0) return sys_error("mount mask", path);
  return {};
}

Result<void> make_readonly(const Setup& setup, const std::string& path) {
  auto target = open_in_root(setup.root.get(), path, O_PATH);
  if (!target) {
    if (target.error().code == ENOENT) return {};
    return target.error();
  }
  const std::string at = "/proc/self/fd/" + std::to_string(target->get());
  if (::mount(at.c_str(), at.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return sys_error("mount bind", path);
  // Look again: the descriptor still shows what the new mount covers.
  BERTH_ASSIGN(const UniqueFd top, open_in_root(setup.root.get(), path, O_PATH));
  return remount_readonly("/proc/self/fd/" + std::to_string(top.get()), path);
}

}  // namespace

dev_t makedev_null() { return static_cast<dev_t>((1 << 8) | 3); }

Result<void> seal_rootfs(const Setup& setup) {
  const bool own_mounts = setup.plan.own(CLONE_NEWNS);
  if (own_mounts) {
    for (const auto& path : setup.spec.linux_.readonly_paths) BERTH_TRY(make_readonly(setup, path));
    UniqueFd null;
    for (const auto& path : setup.spec.linux_.masked_paths) BERTH_TRY(mask(setup, path, null));
  }
  if (!setup.spec.root->readonly) return {};
  if (!own_mounts) return bad_input("root.readonly", "a mount namespace in linux.namespaces");
  return remount_readonly(fd_path(setup.root.get()), "/");
}

}  // namespace berth::container
