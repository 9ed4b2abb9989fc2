#include "cgroup/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace berth::cgroup {
namespace {

/// A container may nest groups in its own (systemd inside does); deeper than this is somebody's attack on our stack.
constexpr int kMaxDepth = 128;
/// And more processes than pid_max are not there.
constexpr size_t kMaxProcesses = 4 << 20;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using DirStream = std::unique_ptr<DIR, CloseDir>;

Result<UniqueFd> open_dir(int parent, const char* name, const std::string& path) {
  UniqueFd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  return fd;
}

/// Names of the groups directly below an (O_RDONLY) directory.
Result<std::vector<std::string>> children(UniqueFd dir, const std::string& path) {
  DirStream stream(::fdopendir(dir.get()));
  if (!stream) return sys_error("opendir", path);
  (void)dir.release();  // the stream closes it
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

/// v1: a new cpuset group is empty, and refuses processes (ENOSPC), unless its parent had clone_children set.
Result<void> inherit_cpuset(const Directory& parent, const Directory& group) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    BERTH_ASSIGN(const std::string own, group.read(file));
    if (!trim(own).empty()) continue;
    BERTH_ASSIGN(const std::string inherited, parent.read(file));
    BERTH_TRY(group.write(file, trim(inherited)));
  }
  return {};
}

/// Lets the groups to be made below a shared parent inherit by themselves: two writes less for each container.
Result<void> prepare_cpuset_parent(const Directory& above, const Directory& parent) {
  BERTH_TRY(inherit_cpuset(above, parent));
  return parent.write("cgroup.clone_children", "1");
}

Result<Made> make_one(int at, const std::string& name, const std::string& path) {
  Made made;
  if (::mkdirat(at, name.c_str(), 0755) == 0) made.created = true;
  // EEXIST: joined. Whether it is a directory at all is seen when it is opened.
  else if (errno != EEXIST) return sys_error("mkdir", path);
  UniqueFd fd(::openat(at, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  made.dir = Directory(std::move(fd), path);
  return made;
}

Result<void> append_processes(const Directory& group, std::vector<pid_t>& out) {
  auto text = group.read("cgroup.procs");
  // ENODEV: the group is going. EOPNOTSUPP: a threaded v2 group, whose processes its domain's list has.
  if (!text.ok()) {
    const int code = text.error().code;
    if (code == ENODEV || code == ENOENT || code == EOPNOTSUPP) return {};
    return text.error();
  }
  for (const auto line : split(*text, '\n')) {
    // 0: a process outside our pid namespace, which we could not signal anyway.
    if (const uint64_t pid = to_number(line, 0); pid > 0 && out.size() < kMaxProcesses)
      out.push_back(static_cast<pid_t>(pid));
  }
  return {};
}

Result<void> walk_processes(const Directory& group, int depth, std::vector<pid_t>& out) {
  BERTH_TRY(append_processes(group, out));
  if (depth >= kMaxDepth) return Error{ELOOP, "walk", group.path(), "groups nested too deeply"};
  auto dir = open_dir(group.fd(), ".", group.path());
  if (!dir.ok()) return dir.error().code == ENOENT ? Result<void>() : dir.error();
  BERTH_ASSIGN(const auto names, children(std::move(*dir), group.path()));
  for (const auto& name : names) {
    UniqueFd fd(::openat(group.fd(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) continue;  // gone meanwhile
    BERTH_TRY(walk_processes(Directory(std::move(fd), group.path() + "/" + name), depth + 1, out));
  }
  return {};
}

Result<Directory> open_below(const Directory& group, const std::string& name) {
  UniqueFd fd(::openat(group.fd(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", group.path() + "/" + name);
  return Directory(std::move(fd), group.path() + "/" + name);
}

/// Depth first; an invalid Directory if no group below holds a process.
Result<Directory> populated_below(const Directory& group, int depth) {
  if (depth >= kMaxDepth) return Error{ELOOP, "walk", group.path(), "groups nested too deeply"};
  BERTH_ASSIGN(UniqueFd dir, open_dir(group.fd(), ".", group.path()));
  BERTH_ASSIGN(const auto names, children(std::move(dir), group.path()));
  for (const auto& name : names) {
    auto child = open_below(group, name);
    if (!child.ok()) continue;  // gone meanwhile
    std::vector<pid_t> pids;
    BERTH_TRY(append_processes(*child, pids));
    if (!pids.empty()) return child;
    BERTH_ASSIGN(Directory deeper, populated_below(*child, depth + 1));
    if (deeper.valid()) return deeper;
  }
  return Directory();
}

Result<void> remove_below(int parent, const std::string& name, const std::string& path, int depth) {
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != EBUSY && errno != ENOTEMPTY) return sys_error("rmdir", path);
  const Error busy = sys_error("rmdir", path);
  if (depth >= kMaxDepth) return Error{ELOOP, "rmdir", path, "groups nested too deeply"};
  auto dir = open_dir(parent, name.c_str(), path);
  if (!dir.ok()) return dir.error().code == ENOENT ? Result<void>() : dir.error();
  const UniqueFd at(::fcntl(dir->get(), F_DUPFD_CLOEXEC, 0));
  if (!at) return sys_error("dup", path);
  BERTH_ASSIGN(const auto names, children(std::move(*dir), path));
  if (names.empty()) return busy;
  for (const auto& child : names) BERTH_TRY(remove_below(at.get(), child, path + "/" + child, depth + 1));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  return sys_error("rmdir", path);
}

}  // namespace

Result<Made> make_group(const Directory& root, const std::string& path, bool cpuset) {
  const std::string relative = path.substr(1);
  // The usual case: all parents are there, one mkdir does it.
  auto made = make_one(root.fd(), relative, root.path() + path);
  if (!made.ok() && made.error().code != ENOENT) return made.error();
  if (made.ok() && !cpuset) return made;
  if (made.ok() && !made->created) return made;
  if (made.ok()) {
    // A parent that has been prepared has given its cpus already.
    BERTH_ASSIGN(const std::string cpus, made->dir.read("cpuset.cpus"));
    if (!trim(cpus).empty()) return made;
  }
  // Step by step from the root.
  Directory above;
  const Directory* parent = &root;
  std::string so_far = root.path();
  const auto names = split(relative, '/');
  for (size_t i = 0; i < names.size(); i++) {
    so_far += "/" + std::string(names[i]);
    BERTH_ASSIGN(Made next, make_one(parent->fd(), std::string(names[i]), so_far));
    if (cpuset) {
      const bool leaf = i + 1 == names.size();
      BERTH_TRY(leaf ? inherit_cpuset(*parent, next.dir) : prepare_cpuset_parent(*parent, next.dir));
    }
    if (i + 1 == names.size()) {
      if (made.ok()) next.created = made->created;
      return next;
    }
    above = std::move(next.dir);
    parent = &above;
  }
  return Error{EINVAL, "mkdir", root.path() + path, "empty path"};
}

Result<std::vector<pid_t>> processes_below(const Directory& group) {
  std::vector<pid_t> pids;
  BERTH_TRY(walk_processes(group, 0, pids));
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<Directory> joinable_group(const Directory& group) {
  BERTH_ASSIGN(const std::string passed_on, group.read("cgroup.subtree_control"));
  if (trim(passed_on).empty()) return open_below(group, ".");
  BERTH_ASSIGN(Directory below, populated_below(group, 0));
  if (!below.valid())
    return Error{ENOENT, "cgroup", group.path(), "it passes controllers on, and no group below it holds processes"};
  return below;
}

Result<void> remove_tree(int parent, const std::string& name, const std::string& path_for_errors) {
  return remove_below(parent, name, path_for_errors, 0);
}

}  // namespace berth::cgroup
