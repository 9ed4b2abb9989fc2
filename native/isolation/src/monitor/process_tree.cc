#include "monitor/process_tree.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <set>

#include "base/fd.h"
#include "base/file.h"

namespace berth::monitor {
namespace {

/// A process that forks faster than we look is the container's business; its end comes with the container's.
constexpr int kMaxLooks = 8;

struct Relation {
  pid_t parent = 0;
  pid_t session = 0;
};

/// proc_pid_stat(5): the name, in parentheses, may hold anything.
bool read_relation(pid_t pid, Relation& relation) {
  auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text.ok()) return false;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return false;
  char state = 0;
  int group = 0;
  return std::sscanf(text->c_str() + name_end + 1, " %c %d %d %d", &state, &relation.parent, &group, &relation.session) == 4;
}

/// Kills those of `pids` that belong to the tree and were not killed before; how many that were.
size_t kill_members(pid_t root, const std::vector<pid_t>& pids, std::set<pid_t>& killed) {
  size_t found = 0;
  // A parent comes before its children in the list most of the time; the next look finds the others.
  for (const pid_t pid : pids) {
    if (killed.contains(pid)) continue;
    // The descriptor first: the number may pass to another process, the descriptor does not.
    const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    Relation relation;
    if (!handle || !read_relation(pid, relation)) continue;
    if (pid != root && relation.session != root && !killed.contains(relation.parent)) continue;
    ::syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0);
    killed.insert(pid);
    ++found;
  }
  return found;
}

}  // namespace

Result<void> kill_process_tree(pid_t root, const std::function<Result<std::vector<pid_t>>()>& processes) {
  std::set<pid_t> killed{root};
  // Stopped first, so that the root starts no more while its children are looked for (they are found by its number).
  ::kill(root, SIGSTOP);
  for (int look = 0; look < kMaxLooks; ++look) {
    auto pids = processes();
    if (!pids.ok()) {
      ::kill(root, SIGKILL);
      return pids.error();
    }
    if (kill_members(root, *pids, killed) == 0) break;
  }
  if (::kill(root, SIGKILL) != 0) return sys_error("kill", std::to_string(root));
  return {};
}

}  // namespace berth::monitor
