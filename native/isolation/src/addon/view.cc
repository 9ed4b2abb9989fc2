#include "addon/view.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "container/paths.h"
#include "container/rootfs_mounts.h"

namespace berth::addon {
namespace {

/// The fourth field of /proc/PID/stat; the second, in parentheses, may hold anything.
pid_t parent_in(const std::string& stat) {
  const size_t end = stat.rfind(')');
  if (end == std::string::npos || end + 4 >= stat.size()) return 0;
  return static_cast<pid_t>(std::strtol(stat.c_str() + end + 4, nullptr, 10));
}

/// A copy of the mount that is the root of a process's mount namespace, without what is mounted in it, and whatever the process has taken
/// for its root since. A mount can be copied in its own namespace alone, so a thread goes there for it.
Result<UniqueFd> root_mount_of(int directory, const std::string& path) {
  const UniqueFd mounts(::openat(directory, "ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!mounts) return Error{ESRCH, "open", path, "the container's process has gone"};
  UniqueFd copy;
  BERTH_TRY(run_on_own_thread([&]() -> Result<void> {
    if (::unshare(CLONE_FS) != 0) return sys_error("unshare", "CLONE_FS");
    if (::setns(mounts.get(), CLONE_NEWNS) != 0) return sys_error("setns", path);
    copy.reset(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!copy) return sys_error("open_tree", path);
    return {};
  }));
  return copy;
}

/// Process ids are used again. A directory of /proc stays with its process and fails once that has gone, so the check holds for the
/// root that is opened from it after.
Result<UniqueFd> root_of(pid_t process, pid_t parent, bool alone) {
  const std::string path = "/proc/" + std::to_string(process);
  const auto gone = [&] { return Error{ESRCH, "open", path, "the container's process has gone"}; };
  const UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return gone();
  const UniqueFd stat(::openat(directory.get(), "stat", O_RDONLY | O_CLOEXEC));
  if (!stat) return gone();
  const auto text = read_fd(stat.get(), path);
  if (!text.ok() || parent_in(text.value()) != parent) return gone();
  if (alone) return root_mount_of(directory.get(), path);
  UniqueFd root(::openat(directory.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root && (errno == ENOENT || errno == ESRCH)) return gone();
  if (!root) return sys_error("open", path + "/root");
  return root;
}

Result<void> own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return sys_error("unshare", "mount namespace");
  // What the host unmounts goes here too, and nothing of ours goes there.
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return sys_error("mount slave", "/");
  return {};
}

Result<void> make_throwaway(const std::string& at) {
  if (::mount("tmpfs", at.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=700,size=1m") != 0) return sys_error("mount tmpfs", at);
  for (const char* name : {"/upper", "/work", "/root"}) {
    if (::mkdir((at + name).c_str(), 0755) != 0) return sys_error("mkdir", at + name);
  }
  return {};
}

/// A source that has gone is left out: what it hides is shown instead.
Result<void> bind(int root, const ViewBind& bind) {
  const unsigned recursive = bind.recursive ? AT_RECURSIVE : 0;
  const UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, bind.source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive)));
  if (!tree && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (!tree) return sys_error("open_tree", bind.source);
  mount_attr attributes{};
  attributes.attr_set = bind.read_only ? MOUNT_ATTR_RDONLY : 0;
  attributes.propagation = MS_PRIVATE;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) != 0) {
    return sys_error("mount_setattr", bind.source);
  }
  struct stat status {};
  if (::fstat(tree.get(), &status) != 0) return sys_error("fstat", bind.source);
  const auto kind = S_ISDIR(status.st_mode) ? container::Make::directory : container::Make::file;
  BERTH_ASSIGN(const UniqueFd target, container::ensure_in_root(root, bind.destination, kind));
  if (::syscall(SYS_move_mount, tree.get(), "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return sys_error("move_mount", bind.destination);
  }
  return {};
}

}  // namespace

ViewOptions read_view(Napi::Env env, Args& args) {
  ViewOptions options;
  options.process = static_cast<pid_t>(args.integer("process", 0, INT32_MAX));
  options.parent = static_cast<pid_t>(args.integer("parent", 0, INT32_MAX));
  options.at = args.string("at");
  options.throwaway = args.boolean("throwaway");
  options.alone = args.boolean("alone");
  const auto each = [&](const char* name, auto&& read) {
    const Napi::Value list = args.raw(name);
    if (!args.ok()) return;
    if (!list.IsArray() || list.As<Napi::Array>().Length() > 4096) return args.reject(std::string(name) + " must be an array");
    for (uint32_t i = 0; i < list.As<Napi::Array>().Length() && args.ok(); ++i) {
      Args element(env, list.As<Napi::Array>().Get(i), std::string(name) + "[" + std::to_string(i) + "]");
      read(element);
      if (!element.ok()) args.reject(element.mistake());
    }
  };
  each("rootfs", [&](Args& mount) {
    options.rootfs.push_back({mount.string("type"), mount.string("source"), mount.strings("options"), mount.string("base")});
  });
  each("binds", [&](Args& one) {
    options.binds.push_back({one.string("source"), one.string("destination"), one.boolean("readOnly"), one.boolean("recursive")});
  });
  return options;
}

Result<UniqueFd> open_view(const ViewOptions& options) {
  if (options.process != 0) return root_of(options.process, options.parent, options.alone);
  BERTH_TRY(own_mounts());
  if (options.throwaway) BERTH_TRY(make_throwaway(options.at));
  const std::string target = options.throwaway ? options.at + "/root" : options.at;
  BERTH_TRY(container::mount_rootfs(options.rootfs, target));
  UniqueFd root(::open(target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", target);
  for (const ViewBind& one : options.binds) BERTH_TRY(bind(root.get(), one));
  return root;
}

}  // namespace berth::addon
