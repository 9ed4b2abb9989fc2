#include "container/idmap.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/clone.h"
#include "base/file.h"
#include "container/mount_options.h"
#include "container/paths.h"
#include "container/rootfs_mounts.h"

namespace berth::container {

namespace {

/// The user namespace whose maps shift a mount's ids: the mount's own, or else the container's.
Result<UniqueFd> namespace_for(const Setup& setup, const oci::Mount& mount) {
  if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty()) {
    if (mount.uid_mappings.empty() || mount.gid_mappings.empty())
      return bad_input("mounts.uidMappings", "both uidMappings and gidMappings");
    return make_user_namespace(mount.uid_mappings, mount.gid_mappings);
  }
  if (setup.plan.user) {
    UniqueFd copy(::fcntl(setup.plan.user.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy) return sys_error("fcntl", "user namespace");
    return copy;
  }
  if (!setup.plan.has_user) return bad_input("mounts.options", "mappings for idmap: the mount's or the container's");
  return make_user_namespace(setup.spec.linux_.uid_mappings, setup.spec.linux_.gid_mappings);
}

Result<UniqueFd> prepare_one(const Setup& setup, const oci::Mount& mount, const MountOptions& options, bool mapped) {
  const std::string source = absolute(setup.options.bundle, mount.source);
  const unsigned recursive = (options.flags & MS_REC) != 0 ? AT_RECURSIVE : 0;
  const unsigned follow = options.source_nofollow ? AT_SYMLINK_NOFOLLOW : 0;
  UniqueFd tree(static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive | follow)));
  if (!tree) return sys_error("open_tree", source);
  if (!mapped) return tree;
  BERTH_ASSIGN(const UniqueFd user, namespace_for(setup, mount));
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(user.get());
  const unsigned depth = options.recursive_idmap || (options.idmap == false && recursive != 0) ? AT_RECURSIVE : 0;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | depth, &attr, sizeof attr) != 0)
    return sys_error("mount_setattr idmap", mount.destination);
  return tree;
}

}  // namespace

Result<UniqueFd> make_user_namespace(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids) {
  const pid_t pid = clone_process(CLONE_NEWUSER, SIGCHLD, nullptr, -1);
  if (pid < 0) return sys_error("clone3", "user namespace");
  if (pid == 0)
    for (;;) ::pause();
  auto open = [&]() -> Result<UniqueFd> {
    const std::string proc = "/proc/" + std::to_string(pid);
    BERTH_TRY(write_file(proc + "/gid_map", map_text(gids)));
    BERTH_TRY(write_file(proc + "/uid_map", map_text(uids)));
    UniqueFd fd(::open((proc + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return sys_error("open", proc + "/ns/user");
    return fd;
  };
  auto opened = open();
  ::kill(pid, SIGKILL);
  wait_for(pid);
  return opened;
}

Result<void> prepare_trees(Setup& setup) {
  const auto& mounts = setup.spec.mounts;
  for (size_t i = 0; i < mounts.size(); ++i) {
    MountOptions options = parse_mount_options(mounts[i].options);
    const bool mapped = options.idmap || !mounts[i].uid_mappings.empty();
    const bool bind = options.bind() || mounts[i].type == "bind";
    if (!bind || (!mapped && !setup.plan.has_user) || options.copy_symlink) continue;
    setup.trees.resize(mounts.size());
    BERTH_ASSIGN(setup.trees[i], prepare_one(setup, mounts[i], options, mapped));
  }
  if (setup.plan.has_user && setup.options.rootfs_mounts.size() == 1) {
    BERTH_ASSIGN(setup.rootfs_tree, detached_rootfs(setup.options.rootfs_mounts[0]));
  }
  return {};
}

}  // namespace berth::container
