#include "seccomp/default_profile.h"

#include <linux/audit.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>

#include "seccomp/arch.h"

namespace berth::seccomp {
namespace {

/// Calls that every container may make: what programs need, and what the kernel itself checks well enough. Not among
/// them, on purpose: keyrings (not namespaced), new mounts and namespaces, modules, kexec, clocks, io_uring (a large
/// surface that filters cannot see into), userfaultfd, the numa policies, obsolete calls.
constexpr std::string_view kAlways =
    "_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
    "clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd "
    "eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark "
    "fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock "
    "fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex "
    "futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu "
    "getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer "
    "getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 "
    "getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat "
    "inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr "
    "listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier "
    "memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect "
    "mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
    "mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep "
    "newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect "
    "poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 "
    "pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 "
    "recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir "
    "rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop "
    "semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area "
    "set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid "
    "setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid "
    "setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
    "sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat "
    "sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime "
    "utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev ";

/// A group of calls under a condition. Lists are of words; an empty one asks for nothing.
struct Group {
  std::string_view names = {};
  std::string_view with_cap = {};     // one of the container's
  std::string_view without_cap = {};  // not one of them
  std::string_view arches = {};       // native architecture is one of these (OCI's names without SCMP_ARCH_)
  std::string_view not_arches = {};
  int kernel_major = 0, kernel_minor = 0;  // at least
  std::string_view action = "SCMP_ACT_ALLOW";
  int errno_ret = 0;  // 0: none given
  int arg_index = -1;
  std::string_view arg_op = {};
  uint64_t arg_value = 0, arg_value_two = 0;
};

constexpr std::string_view kSysAdmin = "CAP_SYS_ADMIN";

/// NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a new namespace is a new attack surface as its owner has all
/// capabilities in it. (CLONE_NEWTIME is not a flag of clone(2).)
constexpr uint64_t kNamespaceFlags = 0x7e020000;
constexpr uint64_t kVsock = 40;

constexpr Group personality(uint64_t value) {
  return {.names = "personality", .arg_index = 0, .arg_op = "SCMP_CMP_EQ", .arg_value = value};
}

constexpr Group socket_family(uint64_t value) {
  return {.names = "socket", .arg_index = 0, .arg_op = "SCMP_CMP_EQ", .arg_value = value};
}

constexpr Group with_cap(std::string_view cap, std::string_view names) { return {.names = names, .with_cap = cap}; }

constexpr Group on_arches(std::string_view arches, std::string_view names) { return {.names = names, .arches = arches}; }

constexpr Group kGroups[] = {
    // Before 4.8 a tracer could get its tracee past the filter.
    {.names = "process_vm_readv process_vm_writev ptrace", .kernel_major = 4, .kernel_minor = 8},
    // Vsock is not namespaced: it reaches the hypervisor from any container. Said as what is allowed, since "not 40" lets
    // 2^32+40 pass, of which the kernel then looks at the low half.
    {.names = "socket", .arg_index = 0, .arg_op = "SCMP_CMP_LT", .arg_value = kVsock},
    socket_family(41),  // KCM
    socket_family(42),  // QIPCRTR
    socket_family(43),  // SMC
    socket_family(44),  // XDP
    socket_family(45),  // MCTP
    // Other execution domains switch protections off (READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE).
    personality(0x0),         // PER_LINUX
    personality(0x8),         // PER_LINUX32
    personality(0x20000),     // UNAME26
    personality(0x20008),     // both
    personality(0xffffffff),  // only asks
    on_arches("PPC64LE", "sync_file_range2 swapcontext"),
    on_arches("ARM AARCH64", "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"),
    on_arches("X86_64 X32", "arch_prctl"),
    on_arches("X86_64 X32 X86", "modify_ldt"),
    on_arches("S390 S390X", "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    on_arches("RISCV64", "riscv_flush_icache"),
    with_cap("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    with_cap(kSysAdmin,
             "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr "
             "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl "
             "quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"),
    {.names = "clone", .without_cap = kSysAdmin, .not_arches = "S390 S390X", .arg_index = 0,
     .arg_op = "SCMP_CMP_MASKED_EQ", .arg_value = kNamespaceFlags},
    // s390 has the first two parameters of clone the other way round.
    {.names = "clone", .without_cap = kSysAdmin, .arches = "S390 S390X", .arg_index = 1,
     .arg_op = "SCMP_CMP_MASKED_EQ", .arg_value = kNamespaceFlags},
    // Its flags are in memory where no filter can look; ENOSYS makes C libraries fall back to clone.
    {.names = "clone3", .without_cap = kSysAdmin, .action = "SCMP_ACT_ERRNO", .errno_ret = 38},
    with_cap("CAP_SYS_BOOT", "reboot"),
    with_cap("CAP_SYS_CHROOT", "chroot"),
    with_cap("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    with_cap("CAP_SYS_PACCT", "acct"),
    with_cap("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    with_cap("CAP_SYS_RAWIO", "iopl ioperm"),
    with_cap("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    with_cap("CAP_SYS_TTY_CONFIG", "vhangup"),
    with_cap("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    with_cap("CAP_SYSLOG", "syslog"),
    with_cap("CAP_BPF", "bpf"),
    with_cap("CAP_PERFMON", "perf_event_open"),
};

struct SubArches {
  std::string_view native, others;
};

/// What a native program may start as well.
constexpr SubArches kSubArches[] = {
    {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86 SCMP_ARCH_X32"},
    {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"},
    {"SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS SCMP_ARCH_MIPS64N32"},
    {"SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPS SCMP_ARCH_MIPS64"},
    {"SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64N32"},
    {"SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64"},
    {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"},
};

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool lists(std::string_view list, std::string_view word) {
  const auto all = words(list);
  return std::find(all.begin(), all.end(), word) != all.end();
}

struct Kernel {
  int major = 0, minor = 0;
};

Kernel running_kernel() {
  Kernel kernel;
  utsname name{};
  if (::uname(&name) == 0 && std::sscanf(name.release, "%d.%d", &kernel.major, &kernel.minor) == 2) return kernel;
  return {};
}

bool applies(const Group& group, const std::vector<std::string>& caps, std::string_view arch, Kernel kernel) {
  auto has = [&](std::string_view cap) { return std::find(caps.begin(), caps.end(), cap) != caps.end(); };
  if (!group.with_cap.empty() && !has(group.with_cap)) return false;
  if (!group.without_cap.empty() && has(group.without_cap)) return false;
  if (!group.arches.empty() && !lists(group.arches, arch)) return false;
  if (lists(group.not_arches, arch)) return false;
  return std::pair(kernel.major, kernel.minor) >= std::pair(group.kernel_major, group.kernel_minor);
}

oci::SeccompSyscall rule_of(const Group& group) {
  oci::SeccompSyscall rule;
  rule.names = words(group.names);
  rule.action = group.action;
  if (group.errno_ret != 0) rule.errno_ret = static_cast<uint32_t>(group.errno_ret);
  if (group.arg_index >= 0)
    rule.args.push_back({static_cast<uint32_t>(group.arg_index), group.arg_value, group.arg_value_two,
                         std::string(group.arg_op)});
  return rule;
}

std::string json_list(std::string_view text) {
  std::string out = "[";
  for (const auto& word : words(text)) out += (out.size() > 1 ? ", \"" : "\"") + word + "\"";
  return out + "]";
}

std::string json_group(const Group& group) {
  std::string out = "{ \"names\": " + json_list(group.names);
  auto text = [&](const char* key, std::string_view value) {
    if (!value.empty()) out += std::string(", \"") + key + "\": \"" + std::string(value) + "\"";
  };
  if (group.action != "SCMP_ACT_ALLOW") text("action", group.action);
  if (group.errno_ret != 0) out += ", \"errnoRet\": " + std::to_string(group.errno_ret);
  if (group.arg_index >= 0) {
    out += ", \"arg\": { \"index\": " + std::to_string(group.arg_index) + ", \"op\": \"" + std::string(group.arg_op) +
           "\", \"value\": " + std::to_string(group.arg_value) + " }";
  }
  text("withCap", group.with_cap);
  text("withoutCap", group.without_cap);
  if (!group.arches.empty()) out += ", \"arches\": " + json_list(group.arches);
  if (!group.not_arches.empty()) out += ", \"notArches\": " + json_list(group.not_arches);
  if (group.kernel_major != 0)
    text("minKernel", std::to_string(group.kernel_major) + "." + std::to_string(group.kernel_minor));
  return out + " }";
}

}  // namespace

Result<oci::Seccomp> default_seccomp(const std::vector<std::string>& caps, std::string_view native) {
  const Arch* arch = native.empty() ? &native_arch() : find_arch(native);
  if (!arch) return bad_input("architecture", "a SCMP_ARCH_* name, not \"" + std::string(native) + "\"");
  constexpr std::string_view kPrefix = "SCMP_ARCH_";
  const std::string_view short_name = arch->name.substr(kPrefix.size());
  oci::Seccomp profile;
  profile.default_action = "SCMP_ACT_ERRNO";
  profile.default_errno_ret = EPERM;
  profile.architectures.emplace_back(arch->name);
  for (const auto& [with, others] : kSubArches)
    if (with == arch->name)
      for (auto& other : words(others)) profile.architectures.push_back(std::move(other));
  oci::SeccompSyscall always;
  always.names = words(kAlways);
  always.action = "SCMP_ACT_ALLOW";
  profile.syscalls.push_back(std::move(always));
  const Kernel kernel = running_kernel();
  for (const Group& group : kGroups)
    if (applies(group, caps, short_name, kernel)) profile.syscalls.push_back(rule_of(group));
  return profile;
}

std::string default_profile_json() {
  std::string out = "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"defaultErrnoRet\": 1,\n  \"subArchitectures\": {";
  bool first = true;
  for (const auto& [native, others] : kSubArches) {
    out += std::string(first ? "\n" : ",\n") + "    \"" + std::string(native) + "\": " + json_list(others);
    first = false;
  }
  out += "\n  },\n  \"always\": [";
  std::string line;
  for (const auto& name : words(kAlways)) {
    const std::string quoted = "\"" + name + "\"";
    if (line.size() + quoted.size() > 110) {
      out += "\n    " + line;
      line.clear();
    }
    line += (line.empty() ? "" : " ") + quoted + ",";
  }
  line.pop_back();
  out += "\n    " + line + "\n  ],\n  \"groups\": [";
  first = true;
  for (const Group& group : kGroups) {
    out += std::string(first ? "\n" : ",\n") + "    " + json_group(group);
    first = false;
  }
  return out + "\n  ]\n}\n";
}

}  // namespace berth::seccomp
