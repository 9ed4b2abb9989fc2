#include "seccomp/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "seccomp/arch.h"
#include "seccomp/tree.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace berth::seccomp {
namespace {

constexpr size_t kMaxRules = 4096, kMaxNames = 16384, kMaxArches = 16;

Result<uint32_t> action_of(const std::string& name, std::optional<uint32_t> errno_ret, const char* field) {
  // The kernel keeps 16 bits for it and caps errors at MAX_ERRNO.
  const uint32_t data = errno_ret.value_or(EPERM);
  if (data > 4095) return bad_input(std::string(field) + ".errnoRet", "at most 4095");
  if (name == "SCMP_ACT_ALLOW") return static_cast<uint32_t>(SECCOMP_RET_ALLOW);
  if (name == "SCMP_ACT_ERRNO") return SECCOMP_RET_ERRNO | data;
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return static_cast<uint32_t>(SECCOMP_RET_KILL_THREAD);
  if (name == "SCMP_ACT_KILL_PROCESS") return static_cast<uint32_t>(SECCOMP_RET_KILL_PROCESS);
  if (name == "SCMP_ACT_TRAP") return static_cast<uint32_t>(SECCOMP_RET_TRAP);
  if (name == "SCMP_ACT_TRACE") return SECCOMP_RET_TRACE | data;
  if (name == "SCMP_ACT_LOG") return static_cast<uint32_t>(SECCOMP_RET_LOG);
  if (name == "SCMP_ACT_NOTIFY") return static_cast<uint32_t>(SECCOMP_RET_USER_NOTIF);
  return bad_input(std::string(field) + ".action", "a SCMP_ACT_* name, not \"" + name + "\"");
}

Result<Compare> compare_of(const std::string& op) {
  constexpr std::pair<const char*, Compare> kOps[] = {
      {"SCMP_CMP_NE", Compare::ne}, {"SCMP_CMP_LT", Compare::lt}, {"SCMP_CMP_LE", Compare::le},
      {"SCMP_CMP_EQ", Compare::eq}, {"SCMP_CMP_GE", Compare::ge}, {"SCMP_CMP_GT", Compare::gt},
      {"SCMP_CMP_MASKED_EQ", Compare::masked_eq}};
  for (const auto& [name, compare] : kOps)
    if (op == name) return compare;
  return bad_input("linux.seccomp.syscalls.args.op", "a SCMP_CMP_* name, not \"" + op + "\"");
}

/// One rule's argument conditions: each inner list must hold as a whole, and one of them must.
Result<std::vector<std::vector<Condition>>> conditions_of(const oci::SeccompSyscall& rule) {
  std::vector<Condition> all;
  std::array<int, 6> uses{};
  for (const auto& arg : rule.args) {
    if (arg.index > 5) return bad_input("linux.seccomp.syscalls.args.index", "0 to 5");
    BERTH_ASSIGN(const Compare op, compare_of(arg.op));
    all.push_back({static_cast<uint8_t>(arg.index), op, arg.value, arg.value_two});
    uses[arg.index]++;
  }
  if (std::any_of(uses.begin(), uses.end(), [](int n) { return n > 1; })) {
    std::vector<std::vector<Condition>> either;
    for (const auto& condition : all) either.push_back({condition});
    return either;
  }
  return std::vector<std::vector<Condition>>{std::move(all)};
}

void add(std::vector<CallRule>& calls, uint32_t number, std::vector<Condition> conditions, uint32_t action) {
  calls.push_back({number, action, std::move(conditions)});
}

/// The calls that x86 and others pack into socketcall(2) and ipc(2): the packed call can be told by its first argument,
/// but its own arguments are in memory where a filter cannot look.
void add_multiplexed(const Arch& arch, std::vector<CallRule>& calls, int number,
                     const std::vector<std::vector<Condition>>& conditions, uint32_t action) {
  const bool socket = number > -200;
  if (const int direct = direct_number(arch, number); direct >= 0)
    for (const auto& list : conditions) add(calls, static_cast<uint32_t>(direct), list, action);
  if (!conditions.front().empty()) return;
  const auto multiplexer = syscall_number(arch, socket ? "socketcall" : "ipc");
  if (!multiplexer || *multiplexer < 0) return;
  const uint64_t call = static_cast<uint64_t>(-number - (socket ? 100 : 200));
  add(calls, static_cast<uint32_t>(*multiplexer), {{0, Compare::eq, call, 0}}, action);
}

struct Parsed {
  const oci::SeccompSyscall* rule;
  uint32_t action;
  std::vector<std::vector<Condition>> conditions;
};

std::vector<CallRule> calls_for(const Arch& arch, const std::vector<Parsed>& rules) {
  std::vector<CallRule> calls;
  calls.reserve(512);
  for (const auto& [rule, action, conditions] : rules) {
    for (const auto& name : rule->names) {
      const auto number = syscall_number(arch, name.c_str());
      if (!number) continue;
      if (*number >= 0)
        for (const auto& list : conditions) add(calls, static_cast<uint32_t>(*number), list, action);
      else if ((*number <= -101 && *number >= -120) || (*number <= -201 && *number >= -224))
        add_multiplexed(arch, calls, *number, conditions, action);
    }
  }
  return calls;
}

Result<uint32_t> flags_of(const oci::Seccomp& profile) {
  // Nothing said: as runc, without the speculation barriers that older kernels put on filtered processes.
  if (profile.flags.empty()) return static_cast<uint32_t>(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  uint32_t flags = 0;
  for (const auto& flag : profile.flags) {
    if (flag == "SECCOMP_FILTER_FLAG_TSYNC") flags |= SECCOMP_FILTER_FLAG_TSYNC;
    else if (flag == "SECCOMP_FILTER_FLAG_LOG") flags |= SECCOMP_FILTER_FLAG_LOG;
    else if (flag == "SECCOMP_FILTER_FLAG_SPEC_ALLOW") flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    else if (flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    else return bad_input("linux.seccomp.flags", "a SECCOMP_FILTER_FLAG_* name, not \"" + flag + "\"");
  }
  return flags;
}

Result<std::vector<const Arch*>> arches_of(const oci::Seccomp& profile) {
  if (profile.architectures.size() > kMaxArches) return bad_input("linux.seccomp.architectures", "at most 16");
  std::vector<const Arch*> arches{&native_arch()};
  for (const auto& name : profile.architectures) {
    const Arch* arch = find_arch(name);
    if (!arch) return bad_input("linux.seccomp.architectures", "a SCMP_ARCH_* name, not \"" + name + "\"");
    if (std::find(arches.begin(), arches.end(), arch) == arches.end()) arches.push_back(arch);
  }
  return arches;
}

int seccomp_call(unsigned operation, unsigned long flags, void* argument) {
  return static_cast<int>(::syscall(SYS_seccomp, operation, flags, argument));
}

}  // namespace

Result<Program> compile(const oci::Seccomp& profile) {
  if (profile.syscalls.size() > kMaxRules) return bad_input("linux.seccomp.syscalls", "at most 4096 rules");
  BERTH_ASSIGN(const uint32_t fallback,
               action_of(profile.default_action, profile.default_errno_ret, "linux.seccomp.default"));
  Program program;
  program.notifies = fallback == SECCOMP_RET_USER_NOTIF;
  BERTH_ASSIGN(program.flags, flags_of(profile));
  std::vector<Parsed> rules;
  size_t names = 0;
  for (const auto& rule : profile.syscalls) {
    BERTH_ASSIGN(const uint32_t action, action_of(rule.action, rule.errno_ret, "linux.seccomp.syscalls"));
    BERTH_ASSIGN(auto conditions, conditions_of(rule));
    if ((names += rule.names.size()) > kMaxNames) return bad_input("linux.seccomp.syscalls", "at most 16384 names");
    program.notifies = program.notifies || action == SECCOMP_RET_USER_NOTIF;
    rules.push_back({&rule, action, std::move(conditions)});
  }
  BERTH_ASSIGN(const auto arches, arches_of(profile));
  std::vector<Section> sections;
  for (const Arch* arch : arches) sections.push_back({arch, calls_for(*arch, rules)});
  program.code = assemble(std::move(sections), fallback);
  if (program.code.size() > BPF_MAXINSNS)
    return Error{E2BIG, "seccomp", "linux.seccomp", "the filter is longer than the kernel's 4096 instructions"};
  if (program.notifies) program.flags &= ~static_cast<uint32_t>(SECCOMP_FILTER_FLAG_TSYNC);
  return program;
}

Result<UniqueFd> install(const Program& program) {
  sock_fprog code{static_cast<unsigned short>(program.code.size()), const_cast<sock_filter*>(program.code.data())};
  unsigned long flags = program.flags | (program.notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
  int result = seccomp_call(SECCOMP_SET_MODE_FILTER, flags, &code);
  if (result < 0 && errno == EINVAL && (flags & SECCOMP_FILTER_FLAG_SPEC_ALLOW)) {
    // Before Linux 4.17.
    flags &= ~static_cast<unsigned long>(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    result = seccomp_call(SECCOMP_SET_MODE_FILTER, flags, &code);
  }
  if (result < 0) return sys_error("seccomp", "filter of " + std::to_string(program.code.size()) + " instructions");
  return program.notifies ? UniqueFd(result) : UniqueFd();
}

}  // namespace berth::seccomp
