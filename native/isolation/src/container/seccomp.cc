#include "container/seccomp.h"

#include <seccomp.h>

#include <memory>
#include <string_view>
#include <type_traits>

namespace berth::container {

namespace {

struct ReleaseFilter {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseFilter>;

Result<uint32_t> action(const std::string& name, std::optional<uint32_t> value) {
  const uint32_t number = value.value_or(EPERM);
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number & 0xffff);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number & 0xffff);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (name == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  return bad_input("linux.seccomp", "a known action, got " + name);
}

constexpr std::pair<const char*, scmp_compare> kOperators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

Result<scmp_compare> comparison(const std::string& name) {
  for (const auto& [known, value] : kOperators)
    if (name == known) return value;
  return bad_input("linux.seccomp.syscalls.args.op", "a known operator, got " + name);
}

constexpr std::pair<const char*, uint32_t> kArchitectures[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

Result<void> add_architectures(scmp_filter_ctx filter, const oci::Seccomp& config) {
  for (const auto& name : config.architectures) {
    const uint32_t* found = nullptr;
    for (const auto& [known, value] : kArchitectures)
      if (name == known) found = &value;
    if (found == nullptr) return bad_input("linux.seccomp.architectures", "a known architecture, got " + name);
    const int failed = ::seccomp_arch_add(filter, *found);
    if (failed != 0 && failed != -EEXIST) return Error{-failed, "seccomp_arch_add", name, ""};
  }
  return {};
}

Result<void> set_flags(scmp_filter_ctx filter, const oci::Seccomp& config) {
  // no_new_privs is the process' own setting, not the filter's.
  ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
  // A binary tree of syscall numbers: fewer instructions for each call the container makes.
  ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const auto& flag : config.flags) {
    int failed = 0;
    if (flag == "SECCOMP_FILTER_FLAG_LOG")
      failed = ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    else if (flag == "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
      failed = ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    else if (flag != "SECCOMP_FILTER_FLAG_TSYNC" && flag != "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
      // TSYNC changes nothing in a process of one thread; WAIT_KILLABLE_RECV needs a newer libseccomp and is a hint.
      return bad_input("linux.seccomp.flags", "a known flag, got " + flag);
    if (failed != 0) return Error{-failed, "seccomp_attr_set", flag, ""};
  }
  return {};
}

Result<void> add_rule(scmp_filter_ctx filter, const oci::SeccompSyscall& rule, uint32_t act) {
  std::vector<scmp_arg_cmp> args;
  bool repeated = false;
  unsigned seen = 0;
  for (const auto& arg : rule.args) {
    BERTH_ASSIGN(const scmp_compare op, comparison(arg.op));
    repeated |= (seen >> arg.index & 1) != 0;
    seen |= 1u << arg.index;
    scmp_arg_cmp one{};
    one.arg = arg.index;
    one.op = op;
    one.datum_a = arg.value;
    one.datum_b = arg.value_two;
    args.push_back(one);
  }
  for (const auto& name : rule.names) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // of another kernel or architecture: can't be called either
    int failed = 0;
    if (repeated) {
      // One argument twice can't be in one rule; as rules of their own they are alternatives (as runc treats them).
      for (const auto& one : args)
        if (failed == 0) failed = ::seccomp_rule_add_array(filter, act, number, 1, &one);
    } else {
      failed = ::seccomp_rule_add_array(filter, act, number, static_cast<unsigned>(args.size()), args.data());
    }
    // EDOM: a system call that only other architectures have; EEXIST: the same rule twice.
    if (failed != 0 && failed != -EDOM && failed != -EEXIST) return Error{-failed, "seccomp_rule_add", name, ""};
  }
  return {};
}

}  // namespace

Result<UniqueFd> load_seccomp(const oci::Seccomp& config) {
  BERTH_ASSIGN(const uint32_t fallback, action(config.default_action, config.default_errno_ret));
  const Filter filter(::seccomp_init(fallback));
  if (!filter) return Error{EINVAL, "seccomp_init", config.default_action, ""};
  BERTH_TRY(add_architectures(filter.get(), config));
  BERTH_TRY(set_flags(filter.get(), config));
  bool notify = false;
  for (const auto& rule : config.syscalls) {
    BERTH_ASSIGN(const uint32_t act, action(rule.action, rule.errno_ret));
    if (act == fallback) continue;  // libseccomp refuses a rule that says what happens anyway
    notify |= act == SCMP_ACT_NOTIFY;
    BERTH_TRY(add_rule(filter.get(), rule, act));
  }
  if (const int failed = ::seccomp_load(filter.get()); failed != 0)
    return Error{-failed, "seccomp_load", "", ""};
  return UniqueFd(notify ? ::seccomp_notify_fd(filter.get()) : -1);
}

SeccompNames seccomp_names() {
  SeccompNames names;
  names.actions = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                   "SCMP_ACT_LOG",   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
  for (const auto& [name, value] : kOperators) names.operators.emplace_back(name);
  for (const auto& [name, value] : kArchitectures) names.architectures.emplace_back(name);
  names.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"};
  return names;
}

}  // namespace berth::container
