#include "container/seccomp.h"

#include "seccomp/filter.h"

namespace berth::container {

Result<SeccompFilter> compile_seccomp(const oci::Seccomp& config, bool notify) {
  BERTH_ASSIGN(seccomp::Program program, seccomp::compile(config));
  if (program.notifies && !notify)
    return bad_input("linux.seccomp.listenerPath", "a path, since a rule says SCMP_ACT_NOTIFY");
  if (notify && !program.notifies) {
    // An agent was named though no rule asks it: it gets its descriptor all the same, as with other runtimes.
    program.notifies = true;
    program.flags &= ~1u;  // SECCOMP_FILTER_FLAG_TSYNC, which can't be together with a listener
  }
  program.code.shrink_to_fit();
  return SeccompFilter(std::make_shared<const seccomp::Program>(std::move(program)));
}

Result<UniqueFd> load_seccomp(const seccomp::Program& filter) { return seccomp::install(filter); }

SeccompNames seccomp_names() {
  SeccompNames names;
  names.actions = {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                   "SCMP_ACT_LOG",   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
  names.operators = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  names.architectures = {
    "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64"};
  names.flags = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                 "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  return names;
}

}  // namespace berth::container
