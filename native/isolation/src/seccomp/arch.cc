#include "seccomp/arch.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <iterator>

namespace berth::seccomp {
namespace {

constexpr Arch kArches[] = {
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, true, false},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386, false, false},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, false, false},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, true, false},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, false, false},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, AUDIT_ARCH_RISCV64, true, false},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE, AUDIT_ARCH_PPC64LE, true, false},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64, AUDIT_ARCH_PPC64, true, true},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC, AUDIT_ARCH_PPC, false, true},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X, AUDIT_ARCH_S390X, true, true},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390, AUDIT_ARCH_S390, false, true},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS, AUDIT_ARCH_MIPS, false, true},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64, AUDIT_ARCH_MIPS64, true, true},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32, AUDIT_ARCH_MIPS64N32, false, true},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL, AUDIT_ARCH_MIPSEL, false, false},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64, AUDIT_ARCH_MIPSEL64, true, false},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32, AUDIT_ARCH_MIPSEL64N32, false, false},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC, AUDIT_ARCH_PARISC, false, true},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64, AUDIT_ARCH_PARISC64, true, true},
};

struct Newer {
  std::string_view name;
  int number;
};

/// Calls that the libseccomp of Debian 12 (2.5.4) does not know. Since Linux 5.1 new calls have the same number on all of
/// the architectures above but MIPS, which adds a base.
constexpr Newer kNewer[] = {
    {"cachestat", 451},       {"fchmodat2", 452},       {"map_shadow_stack", 453}, {"futex_wake", 454},
    {"futex_wait", 455},      {"futex_requeue", 456},   {"statmount", 457},        {"listmount", 458},
    {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
    {"setxattrat", 463},      {"getxattrat", 464},      {"listxattrat", 465},      {"removexattrat", 466},
    {"open_tree_attr", 467},  {"file_getattr", 468},    {"file_setattr", 469},
};

int mips_base(uint32_t token) {
  switch (token) {
    case SCMP_ARCH_MIPS:
    case SCMP_ARCH_MIPSEL: return 4000;
    case SCMP_ARCH_MIPS64:
    case SCMP_ARCH_MIPSEL64: return 5000;
    case SCMP_ARCH_MIPS64N32:
    case SCMP_ARCH_MIPSEL64N32: return 6000;
    default: return 0;
  }
}

std::optional<int> newer_number(const Arch& arch, std::string_view name) {
  if (name == "uretprobe") return arch.token == SCMP_ARCH_X86_64 ? 335 : -1;
  if (name == "riscv_hwprobe") return arch.token == SCMP_ARCH_RISCV64 ? 258 : -1;
  const auto* found = std::find_if(std::begin(kNewer), std::end(kNewer), [&](const Newer& n) { return n.name == name; });
  if (found == std::end(kNewer)) return std::nullopt;
  if (arch.token == SCMP_ARCH_X32) return found->number | static_cast<int>(kX32Bit);
  return found->number + mips_base(arch.token);
}

}  // namespace

const Arch* find_arch(std::string_view name) {
  const auto* found = std::find_if(std::begin(kArches), std::end(kArches), [&](const Arch& a) { return a.name == name; });
  return found == std::end(kArches) ? nullptr : found;
}

const Arch& native_arch() {
  static const Arch& native = []() -> const Arch& {
    const uint32_t token = seccomp_arch_native();
    for (const Arch& arch : kArches)
      if (arch.token == token) return arch;
    return kArches[0];  // not reached on an architecture that this builds for
  }();
  return native;
}

std::optional<int> syscall_number(const Arch& arch, const char* name) {
  const int number = seccomp_syscall_resolve_name_arch(arch.token, name);
  if (number != __NR_SCMP_ERROR) return number;
  return newer_number(arch, name);
}

int direct_number(const Arch& arch, int multiplexed) {
  if (arch.token != SCMP_ARCH_X86) return -1;
  // socketcall's 1..20: socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom
  // shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg
  constexpr int kSocket[] = {359, 361, 362, 363, -1, 367, 368, 360, -1, -1, 369, 371, 373, 366, 365, 370, 372, 364, 337, 345};
  if (multiplexed <= -101 && multiplexed >= -120) return kSocket[-multiplexed - 101];
  switch (multiplexed) {  // ipc's
    case -202: return 393;  // semget
    case -203: return 394;  // semctl
    case -211: return 400;  // msgsnd
    case -212: return 401;  // msgrcv
    case -213: return 399;  // msgget
    case -214: return 402;  // msgctl
    case -221: return 397;  // shmat
    case -222: return 398;  // shmdt
    case -223: return 395;  // shmget
    case -224: return 396;  // shmctl
    default: return -1;     // semop and semtimedop came without: 64-bit time only (semtimedop_time64)
  }
}

}  // namespace berth::seccomp
