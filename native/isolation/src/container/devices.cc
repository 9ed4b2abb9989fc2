// Device nodes and the links that every /dev has.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

/// In a user namespace nodes can't be made, but the host's may be bound in.
Result<void> bind_node(const oci::Device& device, const Parent& at) {
  const UniqueFd file(
      ::openat(at.directory.get(), at.name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!file && errno != ENXIO) return sys_error("open", device.path);
  const UniqueFd target(::openat(at.directory.get(), at.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!target) return sys_error("open", device.path);
  if (::mount(device.path.c_str(), fd_path(target.get()).c_str(), nullptr, MS_BIND, nullptr) != 0)
    return sys_error("mount bind " + device.path, device.path);
  return {};
}

Result<void> make_node(const Setup& setup, const oci::Device& device) {
  BERTH_ASSIGN(const Parent at, ensure_parent_in_root(setup.root.get(), device.path));
  const int directory = at.directory.get();
  if (setup.plan.has_user && device.type != 'p') return bind_node(device, at);
  const dev_t number = device.type == 'p' ? 0 : makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
  const mode_t permissions = device.file_mode.value_or(0666) & 07777;
  if (::mknodat(directory, at.name.c_str(), type_bits(device.type) | permissions, number) != 0) {
    if (errno == EPERM) return bind_node(device, at);
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
bool dev_is_bound(const oci::Spec& spec) {
  for (const auto& mount : spec.mounts) {
    if (clean_path(mount.destination) != "/dev") continue;
    if (mount.type == "bind") return true;
    for (const auto& option : mount.options)
      if (option == "bind" || option == "rbind") return true;
  }
  return false;
}

}  // namespace

Result<void> make_devices(Setup& setup) {
  if (dev_is_bound(setup.spec)) return {};
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
  for (const auto& device : setup.spec.linux_.devices) BERTH_TRY(make_node(setup, device));
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
