// Device nodes and the links that every /dev has.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "container/paths.h"
#include "container/setup.h"

namespace berth::container {

namespace {

struct Node {
  const char* path;
  unsigned major, minor;
};
/// runtime-spec, "Default Devices".
constexpr Node kDefaults[] = {
    {"/dev/null", 1, 3}, {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/tty", 5, 0},  {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9},
};

struct Link {
  const char* target;
  const char* name;
};
/// runtime-spec, "Default Dev Symbolic Links".
constexpr Link kLinks[] = {
    {"/proc/self/fd", "fd"},
    {"/proc/self/fd/0", "stdin"},
    {"/proc/self/fd/1", "stdout"},
    {"/proc/self/fd/2", "stderr"},
};

mode_t type_bits(char type) { return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR; }

/// An id of the container as the host knows it.
uint32_t host_id(const std::vector<oci::IdMapping>& mappings, uint32_t id) {
  for (const auto& one : mappings)
    if (id >= one.container_id && id - one.container_id < one.size) return one.host_id + (id - one.container_id);
  return id;
}

/// In a user namespace nodes can't be made, but those of the host, or made by the parent (`ready` >= 0), may be bound in.
Result<void> bind_node(const oci::Device& device, const Parent& at, int ready) {
  const UniqueFd file(
      ::openat(at.directory.get(), at.name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!file && errno != ENXIO) return sys_error("open", device.path);
  const UniqueFd target(::openat(at.directory.get(), at.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!target) return sys_error("open", device.path);
  if (ready >= 0) {
    if (::syscall(SYS_move_mount, ready, "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
      return sys_error("move_mount", device.path);
    return {};
  }
  if (::mount(device.path.c_str(), fd_path(target.get()).c_str(), nullptr, MS_BIND, nullptr) != 0)
    return sys_error("mount bind " + device.path, device.path);
  const UniqueFd top(::openat(at.directory.get(), at.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!top) return sys_error("open", device.path);
  return remount(fd_path(top.get()), MS_BIND | MS_NOSUID | MS_NOEXEC, device.path);
}

Result<void> make_node(const Setup& setup, const oci::Device& device, int ready = -1) {
  BERTH_ASSIGN(const Parent at, ensure_parent_in_root(setup.root.get(), device.path));
  const int directory = at.directory.get();
  if (setup.plan.has_user && device.type != 'p') return bind_node(device, at, ready);
  const dev_t number = device.type == 'p' ? 0 : makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  const mode_t permissions = device.file_mode.value_or(0666) & 07777;
  if (::mknodat(directory, at.name.c_str(), type_bits(device.type) | permissions, number) != 0) {
    if (errno == EPERM) return bind_node(device, at, ready);
    if (errno != EEXIST) return sys_error("mknod", device.path);
    struct stat there;
    if (::fstatat(directory, at.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return sys_error("stat", device.path);
    if ((there.st_mode & S_IFMT) != type_bits(device.type) || (device.type != 'p' && there.st_rdev != number)) {
      // Some other thing of the image in the place of a device.
      if (::unlinkat(directory, at.name.c_str(), 0) != 0) return sys_error("unlink", device.path);
      if (::mknodat(directory, at.name.c_str(), type_bits(device.type) | permissions, number) != 0)
        return sys_error("mknod", device.path);
    } else if (::fchmodat(directory, at.name.c_str(), permissions, 0) != 0) {
      return sys_error("chmod", device.path);
    }
  }
  const uid_t uid = device.uid.value_or(0);
  const gid_t gid = device.gid.value_or(0);
  if ((uid != 0 || gid != 0) && ::fchownat(directory, at.name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
    return sys_error("chown", device.path);
  return {};
}

Result<void> make_links(const Setup& setup, int dev) {
  for (const Link& link : kLinks)
    if (::symlinkat(link.target, dev, link.name) != 0 && errno != EEXIST)
      return sys_error("symlink", std::string("/dev/") + link.name);
  // The instance of devpts that is mounted here, never the host's.
  struct stat info;
  if (::fstatat(dev, "pts/ptmx", &info, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (::unlinkat(dev, "ptmx", 0) != 0 && errno != ENOENT) {
    if (errno == EBUSY || errno == EISDIR) return {};
    return sys_error("unlink", "/dev/ptmx");
  }
  if (::symlinkat("pts/ptmx", dev, "ptmx") != 0) return sys_error("symlink", "/dev/ptmx");
  (void)setup;
  return {};
}

/// A /dev that comes from outside is left as it is.
bool dev_is_bound(const oci::Spec& spec, bool& mounted) {
  for (const auto& mount : spec.mounts) {
    if (clean_path(mount.destination) != "/dev") continue;
    mounted = true;
    if (mount.type == "bind") return true;
    for (const auto& option : mount.options)
      if (option == "bind" || option == "rbind") return true;
  }
  return false;
}

Result<void> refuse_link(const Setup& setup, const char* path) {
  const auto there = open_in_root(setup.root.get(), path, O_PATH | O_NOFOLLOW);
  struct stat info;
  if (there && ::fstat(there.value().get(), &info) == 0 && S_ISLNK(info.st_mode))
    return Error{ELOOP, "make devices", path, "a symbolic link in the root file system"};
  return {};
}

}  // namespace

/// Made on a tmpfs of the host's user namespace that no path leads to: there they work, and are owned as asked for.
Result<void> prepare_nodes(Setup& setup) {
  const auto& devices = setup.spec.linux_.devices;
  if (devices.empty() || !setup.plan.has_user) return {};
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!context || ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return sys_error("fsopen", "tmpfs");
  const UniqueFd tree(static_cast<int>(
      ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)));
  if (!tree) return sys_error("fsmount", "tmpfs");
  setup.nodes.resize(devices.size());
  for (size_t i = 0; i < devices.size(); ++i) {
    const oci::Device& device = devices[i];
    if (device.type == 'p') continue;
    const std::string name = std::to_string(i);
    const dev_t number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    const mode_t mode = device.file_mode.value_or(0666) & 07777;
    if (::mknodat(tree.get(), name.c_str(), type_bits(device.type) | mode, number) != 0 ||
        ::fchmodat(tree.get(), name.c_str(), mode, 0) != 0 ||
        ::fchownat(tree.get(), name.c_str(), host_id(setup.spec.linux_.uid_mappings, device.uid.value_or(0)),
                   host_id(setup.spec.linux_.gid_mappings, device.gid.value_or(0)), AT_SYMLINK_NOFOLLOW) != 0)
      return sys_error("mknod", device.path);
    setup.nodes[i].reset(static_cast<int>(
        ::syscall(SYS_open_tree, tree.get(), name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!setup.nodes[i]) return sys_error("open_tree", device.path);
  }
  return {};
}

Result<void> make_devices(Setup& setup) {
  bool mounted = false;
  if (dev_is_bound(setup.spec, mounted)) return {};
  // An image's own /dev that points elsewhere: the nodes would land in some other directory of it.
  if (!mounted) BERTH_TRY(refuse_link(setup, "/dev"));
  for (const Node& node : kDefaults) {
    bool configured = false;
    for (const auto& device : setup.spec.linux_.devices) configured |= device.path == node.path;
    if (configured) continue;
    oci::Device device;
    device.path = node.path;
    device.major = node.major;
    device.minor = node.minor;
    BERTH_TRY(make_node(setup, device));
  }
  size_t index = 0;
  for (const auto& device : setup.spec.linux_.devices) {
    BERTH_TRY(make_node(setup, device, index < setup.nodes.size() ? setup.nodes[index].get() : -1));
    ++index;
  }
  BERTH_ASSIGN(const UniqueFd dev, open_in_root(setup.root.get(), "/dev", O_PATH | O_DIRECTORY));
  return make_links(setup, dev.get());
}

std::vector<oci::DeviceRule> default_device_rules() {
  std::vector<oci::DeviceRule> rules;
  auto allow = [&](char type, std::optional<int64_t> major, std::optional<int64_t> minor, const char* access) {
    rules.push_back({true, type, major, minor, access});
  };
  allow('c', std::nullopt, std::nullopt, "m");  // a node alone gives no access
  allow('b', std::nullopt, std::nullopt, "m");
  for (const Node& node : kDefaults) allow('c', node.major, node.minor, "rwm");
  allow('c', 5, 1, "rwm");               // /dev/console
  allow('c', 5, 2, "rwm");               // /dev/ptmx
  allow('c', 136, std::nullopt, "rwm");  // /dev/pts/*
  return rules;
}

}  // namespace berth::container
