// The default profile as the kernel enforces it, and its copy for readers outside.
#include "seccomp/default_profile.h"

#include <doctest/doctest.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "seccomp/filter.h"

using namespace berth;
using namespace berth::seccomp;

namespace {

/// Docker's default capabilities.
const std::vector<std::string> kDefaultCaps = {
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"};

/// errno of a call made under the profile in a process of its own; 0 if it succeeded, -1 if the process was killed.
int under(const std::vector<std::string>& caps, const std::function<long()>& call) {
  auto profile = default_seccomp(caps);
  REQUIRE(profile.ok());
  auto program = compile(*profile);
  REQUIRE(program.ok());
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(254);
    if (!install(*program).ok()) ::_exit(255);
    errno = 0;
    const long result = call();
    ::_exit(result == -1 ? errno : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::function<long()> call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return [=] { return ::syscall(number, a, b, c, d, e); };
}

}  // namespace

TEST_CASE("denied to everybody with default capabilities") {
  // What the kernel itself would answer is another errno, or success, for root.
  for (const long number : {SYS_keyctl, SYS_add_key, SYS_request_key, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_swapon,
                            SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
                            SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_acct,
                            SYS_quotactl, SYS_setns, SYS_open_by_handle_at, SYS_fsopen, SYS_move_mount, SYS_open_tree,
                            SYS_lookup_dcookie, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_vhangup,
                            SYS_settimeofday, SYS_clock_settime, SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy,
                            SYS_move_pages, SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise, SYS_fanotify_init})
    CHECK_MESSAGE(under(kDefaultCaps, call(number, -1, -1, -1, -1, -1)) == EPERM, number);
  CHECK(under(kDefaultCaps, call(SYS_unshare, CLONE_NEWUSER)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_unshare, 0)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_clone, CLONE_NEWUSER | SIGCHLD)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_clone, CLONE_NEWNET | SIGCHLD)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_socket, AF_VSOCK, SOCK_STREAM)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_socket, AF_VSOCK | (1L << 32), SOCK_STREAM)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_personality, ADDR_NO_RANDOMIZE)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_personality, READ_IMPLIES_EXEC)) == EPERM);
  CHECK(under(kDefaultCaps, call(SYS_personality, -1)) == EPERM);  // all 64 bits
}

TEST_CASE("answered with ENOSYS so that programs fall back") {
  CHECK(under(kDefaultCaps, call(SYS_clone3, 0, 0)) == ENOSYS);
  CHECK(under(kDefaultCaps, call(100'000)) == ENOSYS);
}

TEST_CASE("allowed to everybody") {
  CHECK(under(kDefaultCaps, call(SYS_getpid)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_socket, AF_UNIX, SOCK_STREAM)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_socket, AF_INET, SOCK_DGRAM)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_personality, 0xffffffff)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_personality, PER_LINUX32)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_ptrace, PTRACE_TRACEME)) == 0);
  CHECK(under(kDefaultCaps, call(SYS_chroot, 0)) == EFAULT);
  CHECK(under(kDefaultCaps, [] {
          const long pid = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
          if (pid == 0) ::_exit(0);
          return pid;
        }) == 0);
  CHECK(under(kDefaultCaps, call(SYS_landlock_create_ruleset, 0, 0, 1)) != EPERM);
}

TEST_CASE("what a capability adds and takes") {
  CHECK(under({}, call(SYS_chroot, 0)) == EPERM);
  CHECK(under({"CAP_SYS_ADMIN"}, call(SYS_mount, 0, 0, 0, 0, 0)) == EFAULT);
  CHECK(under({"CAP_SYS_ADMIN"}, call(SYS_setns, -1, 0)) == EBADF);
  CHECK(under({"CAP_SYS_ADMIN"}, call(SYS_clone3, 0, 0)) == EINVAL);
  CHECK(under({"CAP_SYS_ADMIN"}, call(SYS_keyctl, -1)) == EPERM);
  CHECK(under({"CAP_SYS_PTRACE"}, call(SYS_kcmp, -1, -1, 0, 0, 0)) != EPERM);
  CHECK(under({"CAP_DAC_READ_SEARCH"}, call(SYS_open_by_handle_at, -1, 0, 0)) == EFAULT);
  CHECK(under({"CAP_SYS_MODULE"}, call(SYS_finit_module, -1, 0, 0)) != EPERM);
  CHECK(under({"CAP_SYS_NICE"}, call(SYS_get_mempolicy, 0, 0, 0, 0, -1)) == EINVAL);
  CHECK(under({"CAP_BPF"}, call(SYS_bpf, -1, 0, 0)) == EINVAL);
}

TEST_CASE("conditions by architecture") {
  auto names = [](std::string_view arch) {
    std::string all;
    auto profile = default_seccomp({}, arch);
    REQUIRE(profile.ok());
    for (const auto& rule : profile->syscalls)
      for (const auto& name : rule.names) all += " " + name;
    return all + " ";
  };
  CHECK(names("SCMP_ARCH_X86_64").find(" arch_prctl ") != std::string::npos);
  CHECK(names("SCMP_ARCH_AARCH64").find(" arch_prctl ") == std::string::npos);
  CHECK(names("SCMP_ARCH_AARCH64").find(" arm_fadvise64_64 ") != std::string::npos);
  CHECK(names("SCMP_ARCH_RISCV64").find(" riscv_flush_icache ") != std::string::npos);
  CHECK(names("SCMP_ARCH_S390X").find(" s390_runtime_instr ") != std::string::npos);
  CHECK_FALSE(default_seccomp({}, "z80").ok());
  // Every profile compiles for its architecture's tables on this machine.
  for (const char* arch : {"SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X", "SCMP_ARCH_RISCV64", "SCMP_ARCH_MIPS64", "SCMP_ARCH_PPC64LE"}) {
    auto profile = default_seccomp({}, arch);
    REQUIRE(profile.ok());
    auto program = compile(*profile);
    CHECK_MESSAGE(program.ok(), arch);
  }
}

TEST_CASE("profiles/seccomp-default.json is the table") {
  const std::string here = __FILE__;  // …/tests/unit/seccomp_default.cc
  const std::string path = here.substr(0, here.rfind("/tests/")) + "/profiles/seccomp-default.json";
  if (std::getenv("BERTH_UPDATE_PROFILES")) std::ofstream(path) << default_profile_json();
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  CHECK_MESSAGE(text.str() == default_profile_json(), "run with BERTH_UPDATE_PROFILES=1 to write it anew");
}
