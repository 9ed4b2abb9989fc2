#include "addon/overlay.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon/addon.h"
#include "base/fd.h"

namespace berth::addon {
namespace {

int sys_fsopen(const char* type, unsigned flags) { return static_cast<int>(::syscall(SYS_fsopen, type, flags)); }
int sys_fsconfig(int fd, unsigned command, const char* key, const void* value, int aux) {
  return static_cast<int>(::syscall(SYS_fsconfig, fd, command, key, value, aux));
}
int sys_fsmount(int fd, unsigned flags, unsigned attributes) {
  return static_cast<int>(::syscall(SYS_fsmount, fd, flags, attributes));
}
int sys_move_mount(int from, const char* from_path, int to, const char* to_path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}

std::string join(const std::string& base, const std::string& path) {
  return base.empty() || path.starts_with('/') ? path : base + "/" + path;
}

/// The file system's own words about what went wrong ("overlay: ..."), from the context's log.
Error with_log(int context, Error error) {
  char line[512];
  const ssize_t count = ::read(context, line, sizeof line - 1);
  if (count > 2) {
    error.detail = std::string(line + 2, static_cast<size_t>(count) - 2);
    error.detail += std::string(": ") + std::strerror(error.code);
  }
  return error;
}

Result<void> set_directory(int context, const char* key, const std::string& path) {
  // A descriptor has no limit of length (a string has 256 bytes) but is understood since 6.13 only.
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  if (sys_fsconfig(context, FSCONFIG_SET_FD, key, nullptr, fd.get()) == 0) return {};
  if (sys_fsconfig(context, FSCONFIG_SET_STRING, key, path.c_str(), 0) == 0) return {};
  return with_log(context, sys_error("fsconfig", std::string(key) + "=" + path));
}

Result<void> mount_new_api(const OverlayMount& mount, bool& unsupported) {
  UniqueFd context(sys_fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) {
    unsupported = errno == ENOSYS;
    return sys_error("fsopen", "overlay");
  }
  sys_fsconfig(context.get(), FSCONFIG_SET_STRING, "source", "overlay", 0);
  bool first = true;
  for (const std::string& layer : mount.lower) {
    const auto done = set_directory(context.get(), "lowerdir+", join(mount.base, layer));
    // An unknown key on the first one says that the kernel is older than lowerdir+.
    if (!done.ok() && first && done.error().call == "fsconfig" && done.error().code == EINVAL) unsupported = true;
    if (!done.ok()) return done.error();
    first = false;
  }
  if (!mount.upper.empty()) {
    BERTH_TRY(set_directory(context.get(), "upperdir", join(mount.base, mount.upper)));
    BERTH_TRY(set_directory(context.get(), "workdir", join(mount.base, mount.work)));
  }
  for (const std::string& option : mount.options) {
    const size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    const int rc = equals == std::string::npos
                       ? sys_fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                       : sys_fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), option.c_str() + equals + 1, 0);
    if (rc != 0) return with_log(context.get(), sys_error("fsconfig", option));
  }
  if (sys_fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return with_log(context.get(), sys_error("mount", mount.target));
  }
  UniqueFd tree(sys_fsmount(context.get(), FSMOUNT_CLOEXEC, mount.read_only ? MOUNT_ATTR_RDONLY : 0));
  if (!tree) return with_log(context.get(), sys_error("fsmount", mount.target));
  if (sys_move_mount(tree.get(), "", AT_FDCWD, mount.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return sys_error("move_mount", mount.target);
  }
  return {};
}

Result<void> mount_old_api(const OverlayMount& mount) {
  std::string data = "lowerdir=";
  for (size_t i = 0; i < mount.lower.size(); ++i) data += (i == 0 ? "" : ":") + mount.lower[i];
  if (!mount.upper.empty()) data += ",upperdir=" + mount.upper + ",workdir=" + mount.work;
  for (const std::string& option : mount.options) data += "," + option;
  if (data.size() >= static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
    return Error{E2BIG, "mount", mount.target, "the list of layers is longer than a page"};
  }
  return run_on_own_thread([&]() -> Result<void> {
    // The working directory belongs to the process unless the thread leaves the shared one.
    if (!mount.base.empty() && (::unshare(CLONE_FS) != 0 || ::chdir(mount.base.c_str()) != 0)) {
      return sys_error("chdir", mount.base);
    }
    if (::mount("overlay", mount.target.c_str(), "overlay", mount.read_only ? MS_RDONLY : 0, data.c_str()) != 0) {
      return sys_error("mount", mount.target);
    }
    return {};
  });
}

}  // namespace

Result<void> mount_overlay(const OverlayMount& mount) {
  if (mount.lower.empty()) return Error{EINVAL, "mount", mount.target, "an overlay needs at least one lower directory"};
  bool unsupported = false;
  auto mounted = mount_new_api(mount, unsupported);
  if (!mounted.ok() && unsupported) mounted = mount_old_api(mount);
  BERTH_TRY(std::move(mounted));
  // Otherwise a shared parent would copy this mount into every other mount namespace, where it would keep the layers busy.
  if (mount.private_propagation && ::mount(nullptr, mount.target.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
    const Error error = sys_error("mount", mount.target);
    ::umount2(mount.target.c_str(), MNT_DETACH);
    return error;
  }
  return {};
}

}  // namespace berth::addon
