// clone3 for single-threaded programs.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace berth {

/// fork() with clone3 flags. Returns the pid, 0 in the child, -1 with errno. `pidfd` may be null; `cgroup_fd` < 0: none.
/// `exit_signal` must be 0 with CLONE_PARENT. The caller must be single-threaded: no fork handlers run.
pid_t clone_process(uint64_t flags, int exit_signal, int* pidfd, int cgroup_fd);

/// waitpid that retries EINTR; the status, or -1 with errno.
int wait_for(pid_t pid);

}  // namespace berth
