// The foreground of run and exec: signals go in, output comes out, the exit code comes back.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "base/file.h"
#include "cli/commands.h"

namespace berth::cli {

namespace {

/// stdin in raw mode as long as this lives.
class RawMode {
 public:
  RawMode() {
    if (::tcgetattr(0, &before_) != 0) return;
    active_ = true;
    termios raw = before_;
    ::cfmakeraw(&raw);
    ::tcsetattr(0, TCSANOW, &raw);
  }
  ~RawMode() {
    if (active_) ::tcsetattr(0, TCSANOW, &before_);
  }
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  termios before_{};
  bool active_ = false;
};

void copy_size(int terminal) {
  winsize size;
  if (::ioctl(0, TIOCGWINSZ, &size) == 0 || ::ioctl(1, TIOCGWINSZ, &size) == 0) ::ioctl(terminal, TIOCSWINSZ, &size);
}

/// False at the end of input.
bool copy_block(int from, int to) {
  char block[16384];
  const ssize_t got = ::read(from, block, sizeof block);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  return write_all(to, std::string_view(block, static_cast<size_t>(got)), "terminal").ok();
}

/// True when one of them said that a child changed.
bool pass_signals(int signals, const lifecycle::Running& running) {
  signalfd_siginfo info;
  bool child = false;
  while (::read(signals, &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD)
      child = true;
    else if (number == SIGWINCH && running.terminal)
      copy_size(running.terminal.get());
    else
      ::syscall(SYS_pidfd_send_signal, running.pidfd.get(), number, nullptr, 0);
  }
  return child;
}

int exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

}  // namespace

Result<int> attend(lifecycle::Running& running) {
  sigset_t all;
  sigfillset(&all);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGURG, SIGPIPE}) sigdelset(&all, own);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  const UniqueFd signals(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return sys_error("signalfd");
  const RawMode* raw = running.terminal ? new RawMode : nullptr;
  if (running.terminal) copy_size(running.terminal.get());

  bool input = running.terminal.valid();
  int status = 0;
  for (;;) {
    pollfd entries[3] = {{signals.get(), POLLIN, 0},
                         {running.terminal ? running.terminal.get() : -1, POLLIN, 0},
                         {input ? 0 : -1, POLLIN, 0}};
    pollfd done{running.pidfd.get(), POLLIN, 0};
    // The process may have ended before SIGCHLD was blocked.
    if (::poll(&done, 1, 0) > 0) break;
    if (::poll(entries, 3, 1000) < 0 && errno != EINTR) return sys_error("poll");
    if (entries[0].revents != 0) pass_signals(signals.get(), running);
    if (entries[1].revents != 0 && !copy_block(running.terminal.get(), 1)) running.terminal.reset();
    if (entries[2].revents != 0 && running.terminal) input = copy_block(0, running.terminal.get());
  }
  while (::waitpid(running.pid, &status, 0) < 0)
    if (errno != EINTR) return sys_error("waitpid");
  if (running.terminal) {
    // What the process wrote last; somebody else inside may hold the terminal open, so only what is there.
    ::fcntl(running.terminal.get(), F_SETFL, O_NONBLOCK);
    pollfd rest{running.terminal.get(), POLLIN, 0};
    while (::poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN) != 0 && copy_block(running.terminal.get(), 1)) {
    }
  }
  delete raw;
  return exit_code(status);
}

}  // namespace berth::cli
