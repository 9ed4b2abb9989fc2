#include "addon/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

namespace berth::addon {
namespace {

constexpr size_t kChildStack = 64 * 1024;

/// What the child needs. It runs in the parent's memory while the parent's thread stands still: it must not allocate, and
/// it leaves its failure here.
struct ChildPlan {
  const char* file;
  char** argv;
  char** envp;
  const int* fds;
  int fd_count;
  int null_fd;
  int failure;
  const char* failed_call;
};

int fail(ChildPlan& plan, const char* call) {
  plan.failure = errno;
  plan.failed_call = call;
  return 127;
}

int child_main(void* argument) {
  auto& plan = *static_cast<ChildPlan*>(argument);
  // Node ignores SIGPIPE and handles others; without CLONE_SIGHAND the table is the child's own copy.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < 32; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::sigaction(signal, &standard, nullptr);
  }
  const int first_free = 3 + plan.fd_count;
  // First out of the way, upwards, so that no number that is still to be read gets overwritten.
  int moved[256];
  for (int i = 0; i < plan.fd_count; ++i) {
    moved[i] = ::fcntl(plan.fds[i], F_DUPFD_CLOEXEC, first_free);
    if (moved[i] < 0) return fail(plan, "fcntl");
  }
  const int null_fd = ::fcntl(plan.null_fd, F_DUPFD_CLOEXEC, first_free);
  if (null_fd < 0) return fail(plan, "fcntl");
  for (int i = 0; i < 3; ++i) {
    if (::dup2(null_fd, i) < 0) return fail(plan, "dup2");
  }
  for (int i = 0; i < plan.fd_count; ++i) {
    if (::dup2(moved[i], 3 + i) < 0) return fail(plan, "dup2");
  }
  // Node opens with O_CLOEXEC; a library in the same process may have forgotten. Errors (old kernels) leave that as it is.
  ::syscall(SYS_close_range, static_cast<unsigned>(first_free), ~0u, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(plan.file, plan.argv, plan.envp);
  return fail(plan, "execve");
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (const std::string& string : strings) list.push_back(const_cast<char*>(string.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

Result<Spawned> spawn_detached(const Spawn& spawn) {
  if (spawn.fds.size() > 256) return Error{EINVAL, "spawn", spawn.file, "more than 256 descriptors"};
  UniqueFd null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_fd) return sys_error("open", "/dev/null");
  auto argv = pointers(spawn.args);
  auto envp = pointers(spawn.env);
  ChildPlan plan{spawn.file.c_str(), argv.data(), envp.data(), spawn.fds.data(), static_cast<int>(spawn.fds.size()), null_fd.get(), 0, nullptr};

  void* stack = ::mmap(nullptr, kChildStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return sys_error("mmap", "stack");
  // No signal may be handled in the child: a handler would run on the parent's memory.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // CLONE_VFORK|CLONE_VM: no page table is copied, however large this process is. Exit signal 0: no SIGCHLD reaches Node.
  const int pid = ::clone(child_main, static_cast<char*>(stack) + kChildStack, CLONE_VM | CLONE_VFORK, &plan);
  const Error clone_error = sys_error("clone", spawn.file);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::munmap(stack, kChildStack);
  if (pid < 0) return clone_error;

  int status = 0;
  while (::waitpid(pid, &status, __WALL) < 0) {
    if (errno != EINTR) return sys_error("waitpid", spawn.file);
  }
  if (plan.failed_call != nullptr) return Error{plan.failure, plan.failed_call, spawn.file, {}};
  return Spawned{pid, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)};
}

}  // namespace berth::addon
