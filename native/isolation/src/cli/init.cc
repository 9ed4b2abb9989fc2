#include "cli/init.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace berth::cli {
namespace {

/// What a fault of our own raises must reach us: blocked, it would make the kernel run the faulting instruction for ever.
constexpr int kOwn[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};

/// In the child: its own process group, in the foreground of the terminal if there is one, then the program.
[[noreturn]] void run(char** command, const sigset_t& mask) noexcept {
  ::setpgid(0, 0);
  // SIGTTOU is ignored here still: a process of the background would be stopped for taking the terminal.
  if (::isatty(STDIN_FILENO) != 0) ::tcsetpgrp(STDIN_FILENO, ::getpgrp());
  ::signal(SIGTTIN, SIG_DFL);
  ::signal(SIGTTOU, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execvp(command[0], command);
  const int error = errno;
  ::dprintf(STDERR_FILENO, "docker-init: exec %s failed: %s\n", command[0], ::strerror(error));
  ::_exit(error == ENOENT ? 127 : 126);
}

int code_of(int status) noexcept {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Takes every process that has ended; the child's exit code, or -1 while it runs.
int reap(pid_t child) noexcept {
  int code = -1;
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended < 0 && errno == EINTR) continue;
    if (ended <= 0) return code;
    if (ended == child) code = code_of(status);
  }
}

}  // namespace

bool is_init(const char* program) noexcept {
  const char* const slash = std::strrchr(program, '/');
  return std::strcmp(slash == nullptr ? program : slash + 1, "docker-init") == 0;
}

int init_main(int argc, char** argv) noexcept {
  char** command = argv + 1;
  if (argc > 1 && std::strcmp(argv[1], "--") == 0) ++command;
  if (*command == nullptr) {
    ::dprintf(STDERR_FILENO, "Usage: docker-init -- COMMAND [ARG...]\n");
    return 1;
  }
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  for (const int signal : kOwn) ::sigdelset(&all, signal);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  ::signal(SIGTTIN, SIG_IGN);
  ::signal(SIGTTOU, SIG_IGN);
  const pid_t child = ::fork();
  if (child < 0) {
    ::dprintf(STDERR_FILENO, "docker-init: fork failed: %s\n", ::strerror(errno));
    return 126;
  }
  if (child == 0) run(command, before);
  for (;;) {
    const int signal = ::sigwaitinfo(&all, nullptr);
    if (signal < 0) continue;
    if (signal != SIGCHLD) {
      ::kill(child, signal);
      continue;
    }
    if (const int code = reap(child); code >= 0) return code;
  }
}

}  // namespace berth::cli
