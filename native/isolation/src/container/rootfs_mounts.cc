#include "container/rootfs_mounts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "container/mount_options.h"
#include "container/paths.h"

namespace berth::container {

namespace {

/// mount(2) copies one page of options; longer lists of layers go through fsconfig, one layer a call.
constexpr size_t kPageOptions = 4095;

/// Relative paths in the options are taken from the current directory: changes it for its own life time.
class InDirectory {
 public:
  static Result<InDirectory> enter(const std::string& base) {
    InDirectory scope;
    if (base.empty()) return scope;
    scope.before_.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!scope.before_) return sys_error("open", ".");
    if (::chdir(base.c_str()) != 0) return sys_error("chdir", base);
    return scope;
  }
  InDirectory(InDirectory&&) = default;
  InDirectory& operator=(InDirectory&&) = delete;
  ~InDirectory() {
    if (before_) (void)!::fchdir(before_.get());
  }

 private:
  InDirectory() = default;
  UniqueFd before_;
};

int fsconfig(int fd, unsigned command, const char* key, const char* value) {
  return static_cast<int>(::syscall(SYS_fsconfig, fd, command, key, value, 0));
}

/// The kernel's own words about a failed fsconfig, if it has left any.
Error configuration_error(int context, const RootfsMount& mount, const std::string& option) {
  Error error = sys_error("fsconfig", mount.type + " " + option.substr(0, 200));
  char text[512];
  const ssize_t length = ::read(context, text, sizeof text - 1);
  if (length > 2) error.detail = std::string(text + 2, static_cast<size_t>(length) - 2);
  return error;
}

/// "lowerdir=a:b:c" as one "lowerdir+" a layer, topmost first; "\:" is a colon of a name.
Result<void> add_layers(int context, const RootfsMount& mount, std::string_view list) {
  std::string layer;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && list[i] == '\\' && i + 1 < list.size()) {
      layer += list[++i];
    } else if (i == list.size() || list[i] == ':') {
      if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", layer.c_str()) != 0)
        return configuration_error(context, mount, "lowerdir+ " + layer);
      layer.clear();
    } else {
      layer += list[i];
    }
  }
  return {};
}

Result<void> configure(int context, const RootfsMount& mount, const MountOptions& options) {
  if (!mount.source.empty() && fsconfig(context, FSCONFIG_SET_STRING, "source", mount.source.c_str()) != 0)
    return configuration_error(context, mount, "source");
  std::string_view rest = options.data;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    const std::string word(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = word.find('=');
    if (mount.type == "overlay" && word.starts_with("lowerdir=")) {
      BERTH_TRY(add_layers(context, mount, std::string_view(word).substr(9)));
    } else if (equals == std::string::npos) {
      if (fsconfig(context, FSCONFIG_SET_FLAG, word.c_str(), nullptr) != 0)
        return configuration_error(context, mount, word);
    } else if (fsconfig(context, FSCONFIG_SET_STRING, word.substr(0, equals).c_str(), word.c_str() + equals + 1) != 0) {
      return configuration_error(context, mount, word);
    }
  }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr) != 0) return configuration_error(context, mount, "");
  return {};
}

unsigned attributes(unsigned long flags) {
  unsigned result = 0;
  if ((flags & MS_RDONLY) != 0) result |= MOUNT_ATTR_RDONLY;
  if ((flags & MS_NOSUID) != 0) result |= MOUNT_ATTR_NOSUID;
  if ((flags & MS_NODEV) != 0) result |= MOUNT_ATTR_NODEV;
  if ((flags & MS_NOEXEC) != 0) result |= MOUNT_ATTR_NOEXEC;
  if ((flags & MS_NOATIME) != 0) result |= MOUNT_ATTR_NOATIME;
  return result;
}

Result<UniqueFd> detached_bind(const RootfsMount& mount, const MountOptions& options) {
  const unsigned recursive = (options.flags & MS_REC) != 0 ? AT_RECURSIVE : 0;
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, mount.source.c_str(),
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive)));
  if (!tree) return sys_error("open_tree", mount.source);
  mount_attr attr{};
  attr.attr_set = attributes(options.flags);
  if (attr.attr_set != 0 &&
      ::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) != 0)
    return sys_error("mount_setattr", mount.source);
  return tree;
}

Result<void> mount_one(const RootfsMount& mount, const std::string& target) {
  const MountOptions options = parse_mount_options(mount.options);
  BERTH_ASSIGN(const InDirectory scope, InDirectory::enter(mount.base));
  if (!options.bind() && mount.type != "bind" && options.data.size() <= kPageOptions) {
    if (::mount(mount.source.empty() ? mount.type.c_str() : mount.source.c_str(), target.c_str(), mount.type.c_str(),
                options.flags, options.data.empty() ? nullptr : options.data.c_str()) != 0)
      return sys_error("mount " + mount.type, target);
    return {};
  }
  BERTH_ASSIGN(const UniqueFd tree, detached_rootfs(mount));
  if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return sys_error("move_mount", target);
  return {};
}

}  // namespace

Result<UniqueFd> detached_rootfs(const RootfsMount& mount) {
  const MountOptions options = parse_mount_options(mount.options);
  BERTH_ASSIGN(const InDirectory scope, InDirectory::enter(mount.base));
  if (options.bind() || mount.type == "bind") return detached_bind(mount, options);
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, mount.type.c_str(), FSOPEN_CLOEXEC)));
  if (!context) return sys_error("fsopen", mount.type);
  BERTH_TRY(configure(context.get(), mount, options));
  UniqueFd tree(
      static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes(options.flags))));
  if (!tree) return sys_error("fsmount", mount.type);
  return tree;
}

Result<void> mount_rootfs(const std::vector<RootfsMount>& mounts, const std::string& target) {
  for (const RootfsMount& mount : mounts) BERTH_TRY(mount_one(mount, target));
  return {};
}

}  // namespace berth::container
