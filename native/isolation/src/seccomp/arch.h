// The architectures a filter can name, and their system call numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::seccomp {

struct Arch {
  std::string_view name;  // as OCI spells it: "SCMP_ARCH_X86_64"
  uint32_t token;         // libseccomp's
  uint32_t audit;         // AUDIT_ARCH_*, what the kernel puts into seccomp_data.arch
  bool wide;              // 64-bit long: arguments are compared in full, else their low 32 bits
  bool big_endian;
};

/// x32 calls arrive as AUDIT_ARCH_X86_64 with this bit in the number.
inline constexpr uint32_t kX32Bit = 0x40000000;

/// Null if the name is not one of OCI's.
const Arch* find_arch(std::string_view name);
/// What this program runs on.
const Arch& native_arch();

/// A call's number on an architecture. Negative: it does not exist there by itself; -101..-120 and -201..-224 are calls
/// that go through socketcall(2) and ipc(2). Empty: nobody knows the name.
std::optional<int> syscall_number(const Arch& arch, const char* name);
/// x86's calls of their own for what -101..-224 stand for (Linux 4.3), or -1.
int direct_number(const Arch& arch, int multiplexed);

}  // namespace berth::seccomp
