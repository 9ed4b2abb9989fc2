#include "container/scheduling.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/pass_fd.h"

namespace berth::container {

namespace {

constexpr std::pair<const char*, int> kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},     {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},   {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},   {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

constexpr std::pair<const char*, uint32_t> kPolicies[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},       {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
};

constexpr std::pair<const char*, uint64_t> kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},     {"SCHED_FLAG_DL_OVERRUN", 0x04},
    {"SCHED_FLAG_KEEP_POLICY", 0x08},   {"SCHED_FLAG_KEEP_PARAMS", 0x10}, {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
};

/// sched_setattr(2)'s structure, which glibc 2.36 has no header for.
struct SchedulerAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

template <typename Table, typename T>
bool find(const Table& table, const std::string& name, T& out) {
  for (const auto& [known, value] : table)
    if (name == known) {
      out = value;
      return true;
    }
  return false;
}

/// What the kernel only calls EINVAL. Its bounds: at least 1024 ns, in 63 bits, runtime <= deadline <= period.
Result<void> check_deadline(const oci::Scheduler& wanted) {
  const auto refuse = [](const std::string& text) {
    return Error{EINVAL, "sched_setattr", "", "`SCHED_DEADLINE` " + text};
  };
  if (!wanted.runtime) return refuse("requires `runtime`");
  if (!wanted.deadline) return refuse("requires `deadline`");
  const uint64_t runtime = *wanted.runtime, deadline = *wanted.deadline, period = wanted.period.value_or(deadline);
  if (runtime == 0) return refuse("runtime must be greater than 0");
  if (runtime < 1024 || runtime > INT64_MAX)
    return refuse("runtime " + std::to_string(runtime) + " must be between 1024 and " + std::to_string(INT64_MAX));
  if (runtime > deadline)
    return refuse("runtime " + std::to_string(runtime) + " must be <= deadline " + std::to_string(deadline));
  if (deadline > period)
    return refuse("deadline " + std::to_string(deadline) + " must be <= period " + std::to_string(period));
  return {};
}

Result<void> set_scheduler(const oci::Scheduler& wanted) {
  SchedulerAttributes attributes{};
  attributes.size = sizeof attributes;
  if (!find(kPolicies, wanted.policy, attributes.policy))
    return bad_input("process.scheduler.policy", "a known policy, got " + wanted.policy);
  for (const auto& flag : wanted.flags) {
    uint64_t bit = 0;
    if (!find(kSchedulerFlags, flag, bit)) return bad_input("process.scheduler.flags", "a known flag, got " + flag);
    attributes.flags |= bit;
  }
  attributes.nice = wanted.nice;
  attributes.priority = static_cast<uint32_t>(wanted.priority);
  if (wanted.policy == "SCHED_DEADLINE") BERTH_TRY(check_deadline(wanted));
  attributes.runtime = wanted.runtime.value_or(0);
  attributes.deadline = wanted.deadline.value_or(0);
  attributes.period = wanted.period.value_or(0);
  if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) return sys_error("sched_setattr", wanted.policy);
  return {};
}

Result<void> set_io_priority(const oci::IoPriority& wanted) {
  int io_class = 0;
  constexpr std::pair<const char*, int> kClasses[] = {
      {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
  if (!find(kClasses, wanted.io_class, io_class))
    return bad_input("process.ioPriority.class", "a known class, got " + wanted.io_class);
  if (wanted.priority < 0 || wanted.priority > 7) return bad_input("process.ioPriority.priority", "0 to 7");
  if (::syscall(SYS_ioprio_set, 1 /* this process */, 0, (io_class << 13) | wanted.priority) != 0)
    return sys_error("ioprio_set", wanted.io_class);
  return {};
}

/// Calls `one` with each number of "0-3,7" below `limit`; false if the text is no such list.
template <typename One>
bool each_number(const std::string& list, unsigned long limit, One one) {
  const char* at = list.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    const unsigned long first = std::strtoul(at, &end, 10);
    if (end == at) return false;
    unsigned long last = first;
    if (*end == '-') {
      at = end + 1;
      last = std::strtoul(at, &end, 10);
      if (end == at) return false;
    }
    if (first > last || last >= limit || (*end != '\0' && *end != ',')) return false;
    for (unsigned long number = first; number <= last; ++number) one(number);
    at = *end == ',' ? end + 1 : end;
  }
  return true;
}

Result<void> set_affinity(const std::string& list) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (!each_number(list, CPU_SETSIZE, [&](unsigned long cpu) { CPU_SET(cpu, &set); }))
    return bad_input("process.execCPUAffinity", "a list of CPUs, got " + list);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) return sys_error("sched_setaffinity", list);
  return {};
}

constexpr std::pair<const char*, int> kMemoryModes[] = {
    {"MPOL_DEFAULT", 0}, {"MPOL_PREFERRED", 1},      {"MPOL_BIND", 2},
    {"MPOL_INTERLEAVE", 3}, {"MPOL_LOCAL", 4}, {"MPOL_PREFERRED_MANY", 5}, {"MPOL_WEIGHTED_INTERLEAVE", 6},
};
constexpr std::pair<const char*, int> kMemoryFlags[] = {
    {"MPOL_F_STATIC_NODES", 1 << 15}, {"MPOL_F_RELATIVE_NODES", 1 << 14}, {"MPOL_F_NUMA_BALANCING", 1 << 13}};

}  // namespace

Result<int> rlimit_number(const std::string& type) {
  int number = 0;
  if (!find(kLimits, type, number)) return bad_input("process.rlimits", "a known limit, got " + type);
  return number;
}

Result<void> set_scheduling(const oci::Process& process) {
  if (process.exec_cpu_affinity && !process.exec_cpu_affinity->final.empty())
    BERTH_TRY(set_affinity(process.exec_cpu_affinity->final));
  if (process.scheduler) BERTH_TRY(set_scheduler(*process.scheduler));
  if (process.io_priority) BERTH_TRY(set_io_priority(*process.io_priority));
  return {};
}

Result<void> set_personality(const oci::Personality& wanted) {
  unsigned long value = 0;
  if (wanted.domain == "LINUX")
    value = PER_LINUX;
  else if (wanted.domain == "LINUX32")
    value = PER_LINUX32;
  else
    return bad_input("linux.personality.domain", "LINUX or LINUX32, got " + wanted.domain);
  if (!wanted.flags.empty()) return bad_input("linux.personality.flags", "none: the specification knows no flags");
  if (::personality(value) < 0) return sys_error("personality", wanted.domain);
  return {};
}

Result<void> set_memory_policy(const oci::MemoryPolicy& policy) {
  int mode = 0;
  if (!find(kMemoryModes, policy.mode, mode))
    return bad_input("linux.memoryPolicy.mode", "a known mode, got " + policy.mode);
  for (const auto& flag : policy.flags) {
    int bit = 0;
    if (!find(kMemoryFlags, flag, bit)) return bad_input("linux.memoryPolicy.flags", "a known flag, got " + flag);
    mode |= bit;
  }
  constexpr unsigned long kNodes = 1024, kBits = 8 * sizeof(unsigned long);
  unsigned long nodes[kNodes / kBits] = {};
  if (!each_number(policy.nodes, kNodes, [&](unsigned long node) { nodes[node / kBits] |= 1UL << (node % kBits); }))
    return bad_input("linux.memoryPolicy.nodes", "a list of nodes, got " + policy.nodes);
  const bool none = policy.nodes.empty();
  if (::syscall(SYS_set_mempolicy, mode, none ? nullptr : nodes, none ? 0 : kNodes) != 0)
    return sys_error("set_mempolicy", policy.mode);
  return {};
}

Result<void> send_seccomp_state(int listener, int notify, const std::string& state) {
  return send_with_fd(listener, state, notify, "seccomp listener");
}

}  // namespace berth::container
