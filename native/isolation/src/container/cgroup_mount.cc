// The mount type "cgroup": one v2 hierarchy, or a tmpfs with a directory for each v1 controller as the host has them.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "container/paths.h"
#include "container/setup.h"

namespace berth::container {

namespace {

/// One hierarchy of the host and where this process is in it.
struct Hierarchy {
  std::string mount_point;  // "/sys/fs/cgroup/cpu,cpuacct"; of the host
  std::string controllers;  // "cpu,cpuacct", "name=systemd"; empty: v2
  std::string path;         // "/berth/x", relative to the cgroup namespace that we are in
  std::string root;         // what part of the hierarchy the host mounts there
};

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (at <= text.size()) {
    const size_t end = std::min(text.find(by, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_option(const std::string& options, const std::string& controllers) {
  const auto words = split(options, ',');
  for (const auto& controller : split(controllers, ','))
    if (std::find(words.begin(), words.end(), controller) == words.end()) return false;
  return true;
}

/// A mountinfo line of type cgroup or cgroup2, taken apart.
struct MountLine {
  std::string root, mount_point, type, options;
};

std::vector<MountLine> cgroup_lines(const std::string& mountinfo) {
  std::vector<MountLine> lines;
  for (const auto& line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos || line.compare(dash + 3, 6, "cgroup") != 0) continue;
    const auto before = split(line.substr(0, dash), ' ');
    const auto after = split(line.substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    lines.push_back({before[3], before[4], after[0], after[2]});
  }
  return lines;
}

Result<std::vector<Hierarchy>> hierarchies() {
  BERTH_ASSIGN(const std::string own, read_file("/proc/self/cgroup"));
  BERTH_ASSIGN(const std::string mountinfo, read_file("/proc/self/mountinfo", 16u << 20));
  const auto mounts = cgroup_lines(mountinfo);
  std::vector<Hierarchy> found;
  for (const auto& line : split(own, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    Hierarchy one;
    one.controllers = line.substr(first + 1, second - first - 1);
    one.path = line.substr(second + 1);
    for (const auto& mount : mounts) {
      const bool v2 = one.controllers.empty();
      if (v2 ? mount.type != "cgroup2" : (mount.type != "cgroup" || !is_option(mount.options, one.controllers))) continue;
      one.mount_point = mount.mount_point;
      one.root = mount.root;
      break;
    }
    if (!one.mount_point.empty()) found.push_back(std::move(one));
  }
  return found;
}

/// The container's own directory in the host's mount, for when it has no cgroup namespace.
std::string host_directory(const Hierarchy& one) {
  if (one.root != "/" && one.path.starts_with(one.root)) return one.mount_point + one.path.substr(one.root.size());
  return one.mount_point + one.path;
}

Result<void> mount_hierarchy(const Setup& setup, const Hierarchy& one, const std::string& target, unsigned long flags,
                             const std::string& name) {
  const bool v2 = one.controllers.empty();
  const char* type = v2 ? "cgroup2" : "cgroup";
  if (setup.plan.own(CLONE_NEWCGROUP)) {
    if (::mount("cgroup", target.c_str(), type, flags, v2 ? nullptr : one.controllers.c_str()) == 0) return {};
    if (errno != EPERM && errno != EBUSY) return sys_error(std::string("mount ") + type, name);
  }
  // No namespace of its own, or the user namespace may not mount this hierarchy: show its part of the host's mount.
  const std::string source = setup.plan.own(CLONE_NEWCGROUP) && one.path == "/" ? one.mount_point : host_directory(one);
  if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return sys_error("mount bind " + source, name);
  return {};
}

std::string last_component(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<void> mount_v1(Setup& setup, const std::vector<Hierarchy>& all, const oci::Mount& mount, unsigned long flags) {
  {
    BERTH_ASSIGN(const UniqueFd target, ensure_in_root(setup.root.get(), mount.destination, Make::directory));
    if (::mount("tmpfs", fd_path(target.get()).c_str(), "tmpfs", flags & ~MS_RDONLY, "mode=755,size=64k") != 0)
      return sys_error("mount tmpfs", mount.destination);
  }
  BERTH_ASSIGN(const UniqueFd top, open_in_root(setup.root.get(), mount.destination, O_PATH));
  for (const Hierarchy& one : all) {
    const std::string name = last_component(one.mount_point);
    if (::mkdirat(top.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return sys_error("mkdir", name);
    const std::string path = fd_path(top.get()) + "/" + name;
    const std::string shown = mount.destination + "/" + name;
    BERTH_TRY(mount_hierarchy(setup, one, path, flags, shown));
    if ((flags & MS_RDONLY) != 0) {
      BERTH_ASSIGN(const UniqueFd below, open_in_root(setup.root.get(), shown, O_PATH));
      BERTH_TRY(remount(fd_path(below.get()), MS_BIND | flags, shown));
    }
    // "cpu" and "cpuacct" as links to "cpu,cpuacct", as hosts have them.
    if (name.find(',') == std::string::npos) continue;
    for (const auto& controller : split(name, ','))
      if (::symlinkat(name.c_str(), top.get(), controller.c_str()) != 0 && errno != EEXIST)
        return sys_error("symlink", controller);
  }
  if ((flags & MS_RDONLY) != 0) return remount(fd_path(top.get()), MS_BIND | flags, mount.destination);
  return {};
}

}  // namespace

Result<void> mount_cgroups(Setup& setup, const oci::Mount& mount, unsigned long flags) {
  BERTH_TRY(setup.await_cgroup());
  BERTH_ASSIGN(const auto all, hierarchies());
  bool v1 = false;
  const Hierarchy* unified = nullptr;
  for (const Hierarchy& one : all) {
    if (one.controllers.empty())
      unified = &one;
    else
      v1 = true;
  }
  if (v1 && mount.type == "cgroup") return mount_v1(setup, all, mount, flags);
  if (unified == nullptr) return Error{ENODEV, "mount cgroup2", mount.destination, "this host has no cgroup v2"};
  {
    BERTH_ASSIGN(const UniqueFd target, ensure_in_root(setup.root.get(), mount.destination, Make::directory));
    BERTH_TRY(mount_hierarchy(setup, *unified, fd_path(target.get()), flags, mount.destination));
  }
  if ((flags & MS_RDONLY) == 0) return {};
  BERTH_ASSIGN(const UniqueFd top, open_in_root(setup.root.get(), mount.destination, O_PATH));
  return remount(fd_path(top.get()), MS_BIND | flags, mount.destination);
}

}  // namespace berth::container
