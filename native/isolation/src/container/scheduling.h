// rlimit names, scheduler, I/O priority, personality: small settings of a process.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

/// RLIMIT_* of its name.
Result<int> rlimit_number(const std::string& type);
/// process.scheduler, process.ioPriority, process.execCPUAffinity.initial.
Result<void> set_scheduling(const oci::Process& process);
Result<void> set_personality(const oci::Personality& personality);
Result<void> set_memory_policy(const oci::MemoryPolicy& policy);
/// Hands a seccomp notification descriptor and the state to the agent behind `listener` (a connected stream socket).
Result<void> send_seccomp_state(int listener, int notify, const std::string& state);

}  // namespace berth::container
