#include "quota/project.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

namespace berth::quota {

namespace {

/// Quotas are counted and set in these (linux/quota.h, QIF_DQBLKSIZE).
constexpr uint64_t kUnit = 1024;
/// Younger than the C library's headers may be; the same on every architecture.
constexpr long kQuotactlFd = 443;

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  return fd;
}

/// quotactl(2) for projects of the file system that holds `directory`; by descriptor, so that no name of its device is needed
/// (Linux 5.14).
Result<void> quotactl(int directory, int command, uint32_t id, void* data) {
  if (::syscall(kQuotactlFd, directory, QCMD(command, PRJQUOTA), id, data) != 0)
    return sys_error("quotactl_fd", "project " + std::to_string(id));
  return {};
}

/// What a file system says that has no such quotas, or has them off.
bool says_none(int code) {
  return code == ENOSYS || code == EINVAL || code == ESRCH || code == ENOTBLK || code == EOPNOTSUPP || code == ENOTTY ||
         code == ENODEV || code == ENXIO || code == ENOENT;
}

Result<void> set_project(int fd, uint32_t project, const std::string& path) {
  fsxattr attributes{};
  if (::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return sys_error("FS_IOC_FSGETXATTR", path);
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (::ioctl(fd, FS_IOC_FSSETXATTR, &attributes) != 0) return sys_error("FS_IOC_FSSETXATTR", path);
  return {};
}

}  // namespace

Result<bool> enforced(const std::string& directory) {
  BERTH_ASSIGN(const UniqueFd fd, open_directory(directory));
  fs_quota_stat status{};
  if (auto asked = quotactl(fd.get(), Q_XGETQSTAT, 0, &status); !asked) {
    if (says_none(asked.error().code)) return false;
    return asked.error();
  }
  constexpr unsigned kBoth = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
  return (status.qs_flags & kBoth) == kBoth;
}

Result<bool> in_use(const std::string& directory, uint32_t project) {
  BERTH_ASSIGN(const UniqueFd fd, open_directory(directory));
  if_dqblk block{};
  if (auto asked = quotactl(fd.get(), Q_GETQUOTA, project, &block); !asked) {
    // xfs has nothing for a project that nobody ever used.
    if (asked.error().code == ENOENT) return false;
    return asked.error();
  }
  return block.dqb_curspace != 0 || block.dqb_curinodes != 0 || block.dqb_bhardlimit != 0 || block.dqb_bsoftlimit != 0 ||
         block.dqb_ihardlimit != 0 || block.dqb_isoftlimit != 0;
}

Result<void> assign(const std::string& directory, uint32_t project) {
  BERTH_ASSIGN(const UniqueFd fd, open_directory(directory));
  return set_project(fd.get(), project, directory);
}

Result<void> limit(const std::string& directory, uint32_t project, uint64_t bytes) {
  BERTH_ASSIGN(const UniqueFd fd, open_directory(directory));
  if_dqblk block{};
  block.dqb_bhardlimit = block.dqb_bsoftlimit = bytes / kUnit + (bytes % kUnit != 0 ? 1 : 0);
  block.dqb_valid = QIF_BLIMITS;
  return quotactl(fd.get(), Q_SETQUOTA, project, &block);
}

Result<uint32_t> project_of(const std::string& directory) {
  BERTH_ASSIGN(const UniqueFd fd, open_directory(directory));
  fsxattr attributes{};
  if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes) == 0) return attributes.fsx_projid;
  if (says_none(errno)) return uint32_t{0};
  return sys_error("FS_IOC_FSGETXATTR", directory);
}

}  // namespace berth::quota
