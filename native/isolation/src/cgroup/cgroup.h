// Control groups of one container, over v1, hybrid and v2 hosts alike.
//
// Life story: create() makes the group in every hierarchy and applies the limits; entry() or add() puts the first process
// in; apply() changes limits while it runs; freeze()/thaw() pause it; kill_all() ends every process inside; remove()
// gives everything back. A group that exists already is joined (a restart after a crash), never emptied.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::oci {
struct Resources;
}

namespace berth::cgroup {

enum class Mode { none, v1, hybrid, v2 };

/// What this host mounts below /sys/fs/cgroup (read from /proc/self/mountinfo once per call).
Mode detect_mode();

/// What was read from or written to one block device, in bytes or operations; `op` as the kernel names it.
struct IoEntry {
  uint64_t major = 0, minor = 0;
  std::string op;
  uint64_t value = 0;
};

/// What a container has used and been denied; zero where the host has no such controller. A limit of 0 means none.
struct Stats {
  uint64_t cpu_usage_ns = 0, cpu_user_ns = 0, cpu_system_ns = 0;
  uint64_t cpu_periods = 0, cpu_throttled_periods = 0, cpu_throttled_ns = 0;
  uint64_t memory_usage = 0, memory_limit = 0, memory_max_usage = 0, memory_cache = 0, memory_inactive_file = 0;
  uint64_t oom_kills = 0;
  uint64_t pids_current = 0, pids_limit = 0;
  uint64_t io_read_bytes = 0, io_write_bytes = 0, io_reads = 0, io_writes = 0;
  uint64_t memory_failures = 0;                                       // v1: limit hit; v2: OOM
  int memory_version = 0, io_version = 0;                             // of the hierarchy that counts; 0: none does
  std::vector<uint64_t> cpu_per_cpu_ns;                               // v1 alone
  std::vector<std::pair<std::string, uint64_t>> memory_details;       // memory.stat
  std::vector<IoEntry> io_bytes, io_operations;
};

/// The quick way in for a child that is about to be made. add() from outside waits for an RCU grace period each time (5 to
/// 20 ms measured), as it must stop all forks of the host; a child that is cloned straight into the unified group and
/// moves its own only thread through v1's `tasks` files does not (0.2 ms for nine hierarchies).
///   Entry e = group->entry();                     // parent
///   clone3({.flags = e.clone_into ? CLONE_INTO_CGROUP : 0, .cgroup = e.clone_into.get()})
///   child, while it has one thread and before it unshares its cgroup namespace: if (int err = enter(e, true)) ...
struct Entry {
  UniqueFd clone_into;          // the unified group's directory (v2 and hybrid), or invalid
  UniqueFd unified_procs;       // its cgroup.procs, for a child that was not cloned into it
  std::vector<UniqueFd> tasks;  // `tasks` of each v1 hierarchy
};

/// Moves the calling thread, the only one of its process, into the group. `cloned_into`: CLONE_INTO_CGROUP was used with
/// entry.clone_into. Async-signal-safe, allocates nothing. Returns 0 or an errno.
int enter(const Entry& entry, bool cloned_into) noexcept;

class Cgroup {
 public:
  virtual ~Cgroup() = default;

  /// Applies limits and device rules (OCI runtime-spec, linux.resources). Safe to call again. Without device rules a group
  /// just made denies all devices but the standard ones (so call it even where the bundle has no resources), and one that
  /// was joined or opened keeps its rules.
  virtual Result<void> apply(const oci::Resources& resources) = 0;
  /// Moves a process in (all hierarchies).
  virtual Result<void> add(pid_t pid) = 0;
  /// The quick way in for a new child, on every kind of host (see Entry).
  virtual Result<Entry> entry() = 0;
  virtual Result<void> freeze() = 0;
  virtual Result<void> thaw() = 0;
  virtual Result<bool> frozen() = 0;
  virtual Result<std::vector<pid_t>> processes() = 0;
  /// SIGKILLs everything inside (cgroup.kill, or freeze + kill + thaw on v1), bounded in time.
  virtual Result<void> kill_all() = 0;
  /// rmdir of the group and of all groups made below it; retries while the kernel still reaps. Missing is success.
  virtual Result<void> remove() = 0;
  virtual Result<Stats> stats() = 0;
  /// Becomes readable when the kernel may have counted an OOM kill in the group (memory.events inotify on v2, eventfd on
  /// v1). A hint: drain it with drain_oom_fd() and see whether stats().oom_kills, or oom_kills() alone, has grown. The
  /// group's removal makes it readable too.
  virtual Result<UniqueFd> oom_fd() = 0;
  /// Processes of the group that the kernel's OOM killer has ended so far (one file read).
  virtual uint64_t oom_kills() = 0;
  /// Processes wait for memory and none of them is killed: v1 with the OOM killer off. A reason for oom_fd() to speak, too.
  virtual bool waits_for_memory() = 0;
  /// controller name ("" for v2) -> absolute path, as `state` and the leak tests need it.
  virtual std::vector<std::pair<std::string, std::string>> paths() const = 0;
};

/// Empties the (non-blocking) descriptor of oom_fd().
void drain_oom_fd(int fd) noexcept;

/// EINVAL unless `path` is absolute, of at most 32 components of at most 255 bytes, none of them "." or ".." and none
/// with control characters, and at most 1,024 bytes long.
Result<void> validate_path(const std::string& path);

/// Makes (or joins) the group `path` ("/berth/ID": absolute from each hierarchy's mount root) and applies nothing yet.
Result<std::unique_ptr<Cgroup>> create(const std::string& path);
/// Opens a group that exists; ENOENT if there is none in any hierarchy.
Result<std::unique_ptr<Cgroup>> open(const std::string& path);
/// Opens the group `below` ("a/b") of the group `path`, for processes to be put there. On v1 each hierarchy has groups of its
/// own: where there is no such one, the group itself stands for it. ENOENT if no hierarchy has one.
Result<std::unique_ptr<Cgroup>> open_below(const std::string& path, const std::string& below);

}  // namespace berth::cgroup
