// Making, walking and removing the directories of groups.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/files.h"

namespace berth::cgroup {

/// A directory just opened below a hierarchy's root, and whether it was made by this call.
struct Made {
  Directory dir;
  bool created = false;
};

/// Makes (or joins) `path` ("/a/b") below `root`, parents too. `cpuset`: a v1 cpuset hierarchy, whose groups take no
/// process before their cpus and mems are set; they get their parent's.
Result<Made> make_group(const Directory& root, const std::string& path, bool cpuset);

/// Pids of all processes of the group and of the groups below it.
Result<std::vector<pid_t>> processes_below(const Directory& group);

/// Where a process can be put that is to be in a v2 group: the group itself, or, once a container has passed controllers
/// on below its own (systemd inside does; then no process may stay in it), the first group below that holds processes.
/// ENOENT if none does.
Result<Directory> joinable_group(const Directory& group);

/// rmdir of the group `name` in `parent` (a directory fd) and of every group below it, once: EBUSY while processes are
/// left (or still being reaped). Missing is success.
Result<void> remove_tree(int parent, const std::string& name, const std::string& path_for_errors);

}  // namespace berth::cgroup
