#include "container/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/clone.h"
#include "base/fd.h"
#include "base/file.h"
#include "oci/json.h"

namespace berth::container {

namespace {

[[noreturn]] void run_one(const oci::Hook& hook, int input, const std::string& directory) {
  std::vector<char*> args, env;
  for (const auto& arg : hook.args) args.push_back(const_cast<char*>(arg.c_str()));
  if (args.empty()) args.push_back(const_cast<char*>(hook.path.c_str()));
  args.push_back(nullptr);
  if (hook.env)
    for (const auto& entry : *hook.env) env.push_back(const_cast<char*>(entry.c_str()));
  env.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (!directory.empty()) (void)!::chdir(directory.c_str());
  if (::dup2(input, 0) < 0) ::_exit(126);
  ::syscall(SYS_close_range, 3u, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
  ::execve(hook.path.c_str(), args.data(), hook.env ? env.data() : ::environ);
  ::_exit(errno == ENOENT ? 127 : 126);
}

/// True when the process has ended within the time.
bool await(int pidfd, const std::optional<uint32_t>& seconds) {
  pollfd entry{pidfd, POLLIN, 0};
  const int limit = seconds ? static_cast<int>(std::min<uint32_t>(*seconds, 86400) * 1000) : -1;
  int got;
  do got = ::poll(&entry, 1, limit);
  while (got < 0 && errno == EINTR);
  return got > 0;
}

Result<void> run_hook(const oci::Hook& hook, const std::string& state, const char* kind, const std::string& directory) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return sys_error("pipe");
  UniqueFd input(pipe[0]), output(pipe[1]);
  int pidfd_number = -1;
  const pid_t pid = clone_process(0, SIGCHLD, &pidfd_number, -1);
  if (pid < 0) return sys_error("clone3", hook.path);
  if (pid == 0) run_one(hook, input.get(), directory);
  const UniqueFd pidfd(pidfd_number);
  input.reset();
  // A hook that does not read its state must neither kill nor stop us: the pipe holds 64 KiB, more is its own loss.
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  (void)!::write(output.get(), state.data(), state.size());
  ::sigaction(SIGPIPE, &before, nullptr);
  output.reset();
  const bool ended = await(pidfd.get(), hook.timeout);
  if (!ended) ::kill(pid, SIGKILL);
  const int status = wait_for(pid);
  if (!ended) return Error{ETIMEDOUT, std::string(kind) + " hook", hook.path, "no end within its timeout"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Error{EIO, std::string(kind) + " hook", hook.path,
               WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                   : "exit status " + std::to_string(WEXITSTATUS(status))};
}

}  // namespace

std::string state_json(const oci::Spec& spec, const std::string& id, const std::string& bundle, const char* status,
                       pid_t pid) {
  oci::Json state = {{"ociVersion", spec.oci_version}, {"id", id}, {"status", status}, {"bundle", bundle}};
  if (pid > 0) state["pid"] = pid;
  if (!spec.annotations.empty()) state["annotations"] = spec.annotations;
  return state.dump(-1, ' ', false, oci::Json::error_handler_t::replace);
}

Result<void> run_hooks(const std::vector<oci::Hook>& hooks, const std::string& state, const char* kind,
                       const std::string& directory) {
  for (const auto& hook : hooks) BERTH_TRY(run_hook(hook, state, kind, directory));
  return {};
}

}  // namespace berth::container
