#include "cli/seal.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

namespace berth::cli {

Result<void> seal_program(char** argv) {
  struct statvfs info;
  if (::statvfs("/proc/self/exe", &info) != 0) return sys_error("statvfs", "/proc/self/exe");
  if ((info.f_flag & ST_RDONLY) != 0 || ::geteuid() != 0) return {};
  const UniqueFd view(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!view) return {};  // no CAP_SYS_ADMIN: nothing to protect the host from
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, view.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) != 0) return {};
  ::syscall(SYS_execveat, view.get(), "", argv, ::environ, AT_EMPTY_PATH);
  return sys_error("execveat", "berth-runtime");
}

}  // namespace berth::cli
