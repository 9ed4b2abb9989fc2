// Our compiler against libseccomp's, and both the program's meaning and its refusals.
#include "seccomp/filter.h"

#include <doctest/doctest.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <random>

#include "bpf_machine.h"
#include "seccomp/arch.h"
#include "seccomp/default_profile.h"

using namespace berth;
using namespace berth::seccomp;

namespace {

uint32_t scmp_action(const oci::SeccompSyscall& rule) {
  return rule.action == "SCMP_ACT_ALLOW" ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(rule.errno_ret.value_or(EPERM));
}

scmp_compare scmp_op(const std::string& op) {
  if (op == "SCMP_CMP_NE") return SCMP_CMP_NE;
  if (op == "SCMP_CMP_LT") return SCMP_CMP_LT;
  if (op == "SCMP_CMP_LE") return SCMP_CMP_LE;
  if (op == "SCMP_CMP_EQ") return SCMP_CMP_EQ;
  if (op == "SCMP_CMP_GE") return SCMP_CMP_GE;
  if (op == "SCMP_CMP_GT") return SCMP_CMP_GT;
  return SCMP_CMP_MASKED_EQ;
}

/// The same profile compiled by libseccomp, for native and x86 (x32's numbers need no other rules).
std::vector<sock_filter> reference(const oci::Seccomp& profile) {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  for (const auto& name : profile.architectures)
    if (const Arch* arch = find_arch(name)) (void)seccomp_arch_add(context, arch->token);
  for (const auto& rule : profile.syscalls) {
    std::vector<scmp_arg_cmp> args;
    for (const auto& arg : rule.args) args.push_back({arg.index, scmp_op(arg.op), arg.value, arg.value_two});
    for (const auto& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      (void)seccomp_rule_add_array(context, scmp_action(rule), number, static_cast<unsigned>(args.size()), args.data());
    }
  }
  const int fd = ::memfd_create("reference", MFD_CLOEXEC);
  REQUIRE(seccomp_export_bpf(context, fd) == 0);
  seccomp_release(context);
  std::vector<sock_filter> code(static_cast<size_t>(::lseek(fd, 0, SEEK_END)) / sizeof(sock_filter));
  REQUIRE(::pread(fd, code.data(), code.size() * sizeof(sock_filter), 0) > 0);
  ::close(fd);
  return code;
}

constexpr uint64_t kArguments[] = {0, 1, 2, 3, 8, 20, 40, 41, 0x20000, 0x20008, 0xffffffff, ~uint64_t{0}, 0x10000000,
                                   0x7e020000, 0x1200011, 0x3d0f00, (uint64_t{1} << 32) | 40, uint64_t{1} << 33};

/// Calls both know: libseccomp 2.5.4 stops at 456, and "newer than the profile" is ours alone.
void compare(const std::vector<sock_filter>& ours, const std::vector<sock_filter>& theirs) {
  struct Place {
    uint32_t audit, base;
    bool wide;
  };
  for (const Place& place : {Place{AUDIT_ARCH_X86_64, 0, true}, Place{AUDIT_ARCH_X86_64, kX32Bit, true},
                             Place{AUDIT_ARCH_I386, 0, false}, Place{AUDIT_ARCH_AARCH64, 0, true}}) {
    for (uint32_t number = 0; number < 450; number++) {
      // Multiplexed calls get their own answer, and uretprobe is newer than the library.
      if (!place.wide && (number == 102 || number == 117)) continue;
      if (place.wide && number == 335) continue;
      for (const uint64_t first : kArguments)
        for (const uint64_t second : {uint64_t{0}, uint64_t{5}, uint64_t{0x7e020000}}) {
          seccomp_data data{};
          data.arch = place.audit;
          data.nr = static_cast<int>(place.base + number);
          data.args[0] = place.wide ? first : static_cast<uint32_t>(first);
          data.args[1] = second;
          const uint32_t a = test::run_filter(ours, data), b = test::run_filter(theirs, data);
          const bool beyond = a == (SECCOMP_RET_ERRNO | ENOSYS) && b == (SECCOMP_RET_ERRNO | EPERM);
          if (a != b && !beyond)
            FAIL_CHECK("arch ", place.audit, " call ", data.nr, " argument ", first, ": ours ", a, ", libseccomp ", b);
        }
    }
  }
}

oci::SeccompSyscall allow(std::vector<std::string> names, std::vector<oci::SeccompArg> args = {}) {
  oci::SeccompSyscall rule;
  rule.names = std::move(names);
  rule.action = "SCMP_ACT_ALLOW";
  rule.args = std::move(args);
  return rule;
}

oci::Seccomp deny_by_default() {
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  return profile;
}

uint32_t ask(const oci::Seccomp& profile, int number, uint64_t first = 0, uint64_t second = 0) {
  auto program = compile(profile);
  REQUIRE_MESSAGE(program.ok(), (program.ok() ? "" : program.error().message()));
  seccomp_data data{};
  data.arch = native_arch().audit;
  data.nr = number;
  data.args[0] = first;
  data.args[1] = second;
  return test::run_filter(program->code, data);
}

constexpr uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;

}  // namespace

#ifdef __x86_64__
TEST_CASE("the default profile: the same answers as libseccomp's program") {
  for (const std::vector<std::string>& caps :
       {std::vector<std::string>{"CAP_SYS_CHROOT"}, std::vector<std::string>{"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"},
        std::vector<std::string>{}}) {
    auto profile = default_seccomp(caps);
    REQUIRE(profile.ok());
    auto program = compile(*profile);
    REQUIRE(program.ok());
    compare(program->code, reference(*profile));
  }
}

TEST_CASE("random profiles: the same answers as libseccomp's program") {
  std::mt19937_64 random(7);
  auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  constexpr const char* kOps[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
                                  "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  constexpr const char* kNames[] = {"read", "write", "openat", "mmap", "prctl", "personality", "clone", "ptrace", "kill",
                                    "dup2", "getpid", "futex", "statx", "landlock_add_rule", "pidfd_open", "io_submit"};
  for (int round = 0; round < 20; round++) {
    oci::Seccomp profile = deny_by_default();
    for (const char* name : kNames) {
      std::vector<oci::SeccompArg> args;
      for (uint32_t index = 0; index < 2; index++)
        if (pick(2) == 0)
          args.push_back({index, kArguments[pick(std::size(kArguments))], kArguments[pick(3)], kOps[pick(7)]});
      // libseccomp refuses masks that no value can meet.
      for (auto& arg : args)
        if (arg.op == "SCMP_CMP_MASKED_EQ") arg.value_two &= arg.value;
      profile.syscalls.push_back(allow({name}, args));
    }
    auto program = compile(profile);
    REQUIRE(program.ok());
    const auto theirs = reference(profile);
    // x86 compares 32 bits only; values beyond cannot be asked of it by either in the same words.
    for (uint32_t number = 0; number < 450; number++)
      for (const uint64_t first : kArguments)
        for (const uint64_t second : kArguments) {
          seccomp_data data{};
          data.arch = AUDIT_ARCH_X86_64;
          data.nr = static_cast<int>(number);
          data.args[0] = first;
          data.args[1] = second;
          const uint32_t a = test::run_filter(program->code, data), b = test::run_filter(theirs, data);
          if (a != b && !(a == (SECCOMP_RET_ERRNO | ENOSYS) && b == kDenied))
            FAIL_CHECK("round ", round, " call ", number, " arguments ", first, " ", second, ": ", a, " and ", b);
        }
  }
}

TEST_CASE("other architectures: x86's packed calls, x32 only where named") {
  oci::Seccomp profile = deny_by_default();
  profile.syscalls = {allow({"socket", "read"})};
  auto program = compile(profile);
  REQUIRE(program.ok());
  seccomp_data data{};
  data.arch = AUDIT_ARCH_I386;
  data.nr = 359;  // socket
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_ALLOW);
  data.nr = 102;  // socketcall(SYS_SOCKET)
  data.args[0] = 1;
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_ALLOW);
  data.args[0] = 2;  // SYS_BIND
  CHECK(test::run_filter(program->code, data) == kDenied);
  data.arch = AUDIT_ARCH_X86_64;
  data.nr = static_cast<int>(kX32Bit);  // read
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_ALLOW);
  profile.architectures.clear();
  program = compile(profile);
  REQUIRE(program.ok());
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_KILL_THREAD);
  data.nr = 0;
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_ALLOW);
  data.arch = AUDIT_ARCH_I386;
  CHECK(test::run_filter(program->code, data) == SECCOMP_RET_KILL_THREAD);
}
#endif

TEST_CASE("rules: arguments, alternatives, order") {
  const int getpid = seccomp_syscall_resolve_name("getpid"), prctl = seccomp_syscall_resolve_name("prctl");
  oci::Seccomp profile = deny_by_default();
  profile.syscalls = {allow({"prctl", "madeup_call"}, {{0, 4, 0, "SCMP_CMP_EQ"}, {0, 9, 0, "SCMP_CMP_EQ"}})};
  CHECK(ask(profile, prctl, 4) == SECCOMP_RET_ALLOW);  // one index twice: either
  CHECK(ask(profile, prctl, 9) == SECCOMP_RET_ALLOW);
  CHECK(ask(profile, prctl, 5) == kDenied);
  CHECK(ask(profile, getpid) == kDenied);
  CHECK(ask(profile, 100'000) == (SECCOMP_RET_ERRNO | ENOSYS));
  profile.syscalls = {allow({"prctl"}, {{0, 4, 0, "SCMP_CMP_EQ"}, {1, 9, 0, "SCMP_CMP_GT"}})};
  CHECK(ask(profile, prctl, 4, 10) == SECCOMP_RET_ALLOW);
  CHECK(ask(profile, prctl, 4, 9) == kDenied);
  profile.syscalls.push_back(allow({"prctl"}));  // without arguments: outweighs
  CHECK(ask(profile, prctl, 1, 1) == SECCOMP_RET_ALLOW);
  profile.default_action = "SCMP_ACT_ALLOW";
  profile.syscalls = {allow({"getpid"})};
  profile.syscalls[0].action = "SCMP_ACT_KILL_PROCESS";
  CHECK(ask(profile, getpid) == SECCOMP_RET_KILL_PROCESS);
  CHECK(ask(profile, 100'000) == SECCOMP_RET_ALLOW);
  profile.syscalls[0].action = "SCMP_ACT_ERRNO";
  profile.syscalls[0].errno_ret = 77;
  CHECK(ask(profile, getpid) == (SECCOMP_RET_ERRNO | 77));
}

TEST_CASE("bad profiles name the field") {
  oci::Seccomp profile = deny_by_default();
  auto object = [&] {
    auto program = compile(profile);
    return program.ok() ? std::string() : program.error().object;
  };
  profile.default_action = "SCMP_ACT_MAYBE";
  CHECK(object() == "linux.seccomp.default.action");
  profile = deny_by_default();
  profile.architectures.push_back("SCMP_ARCH_Z80");
  CHECK(object() == "linux.seccomp.architectures");
  profile = deny_by_default();
  profile.flags = {"SECCOMP_FILTER_FLAG_NOPE"};
  CHECK(object() == "linux.seccomp.flags");
  profile = deny_by_default();
  profile.syscalls = {allow({"read"}, {{6, 0, 0, "SCMP_CMP_EQ"}})};
  CHECK(object() == "linux.seccomp.syscalls.args.index");
  profile.syscalls = {allow({"read"}, {{0, 0, 0, "SCMP_CMP_ISH"}})};
  CHECK(object() == "linux.seccomp.syscalls.args.op");
  profile.syscalls.assign(300, allow({"read"}, {{0, 1, 0, "SCMP_CMP_EQ"}, {1, 1, 0, "SCMP_CMP_GT"}, {2, 1, 0, "SCMP_CMP_LT"}}));
  auto program = compile(profile);
  REQUIRE_FALSE(program.ok());
  CHECK(program.error().code == E2BIG);
}
