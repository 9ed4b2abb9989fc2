// Ending a process with whatever it has started.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "base/result.h"

namespace berth::monitor {

/// SIGKILLs `root`, the leader of its session, its descendants, and what is left of its session after their parents have ended.
/// `processes` lists the candidates (those of the container). What forks meanwhile is found by another look; bounded.
Result<void> kill_process_tree(pid_t root, const std::function<Result<std::vector<pid_t>>()>& processes);

}  // namespace berth::monitor
