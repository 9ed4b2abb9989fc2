// Bindings: starting a detached program, waiting for and signalling processes, reading a start report.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon/addon.h"
#include "addon/reactor.h"
#include "addon/spawn.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxReport = 64 * 1024;

Napi::Value raise(Napi::Env env, const Error& error) {
  to_js_error(env, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

/// spawnDetached({ file, args, env: "K=V"[], fds, cgroup: null }): Promise<{ pid, exitCode }>
Napi::Value spawn_call(const Napi::CallbackInfo& info) {
  Args args(info.Env(), info[0], "options");
  Spawn spawn;
  spawn.file = args.string("file");
  spawn.args = args.strings("args");
  spawn.env = args.strings("env");
  spawn.fds = args.fds("fds");
  if (args.ok() && !args.raw("cgroup").IsNull()) args.reject("options.cgroup must be null");
  if (!args.ok()) return args.fail();
  return run_async<Spawned>(
      info.Env(), [spawn = std::move(spawn)] { return spawn_detached(spawn); },
      [](Napi::Env env, Spawned& spawned) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("pid", spawned.pid);
        object.Set("exitCode", spawned.exit_code);
        return object;
      });
}

/// Promise and number of a watch, as { id, promise }.
Napi::Value watch_object(Napi::Env env, UniqueFd fd, int64_t deadline_ms, Reactor::OnReady on_ready) {
  const auto reactor = Reactor::for_env(env);
  if (!reactor.ok()) return raise(env, reactor.error());
  auto handle = reactor.value()->watch(env, std::move(fd), deadline_ms, std::move(on_ready));
  if (!handle.ok()) return raise(env, handle.error());
  Napi::Object object = Napi::Object::New(env);
  object.Set("id", static_cast<double>(handle->id));
  object.Set("promise", handle->promise);
  return object;
}

/// watchReport(fd, timeoutMs): { id, promise: Promise<string> }; takes and closes `fd`. Settles with the first line (without its
/// end) or with what there was at end of file.
Napi::Value watch_report_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.fd(0);
  const auto timeout = args.integer(1, -1, INT32_MAX);
  if (!args.ok()) return args.fail();
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return raise(info.Env(), sys_error("fcntl", "report"));
  auto text = std::make_shared<std::string>();
  return watch_object(info.Env(), UniqueFd(fd), timeout, [text](int ready) -> std::optional<Result<std::string>> {
    char buffer[4096];
    for (;;) {
      const ssize_t count = ::read(ready, buffer, sizeof buffer);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return std::nullopt;
      if (count < 0) return Result<std::string>(sys_error("read", "report"));
      text->append(buffer, static_cast<size_t>(count));
      const size_t end = text->find('\n');
      if (end != std::string::npos) return Result<std::string>(text->substr(0, end));
      if (count == 0) return Result<std::string>(*text);
      if (text->size() > kMaxReport) return Result<std::string>(Error{EMSGSIZE, "read", "report", "longer than 64 KiB"});
    }
  });
}

/// watchPidfd(fd): { id, promise: Promise<string> }: settles when the process has ended. `fd` stays the caller's.
Napi::Value watch_pidfd_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.fd(0);
  if (!args.ok()) return args.fail();
  // An own duplicate: the caller may close its one while this waits, and the number may be given out again.
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!own) return raise(info.Env(), sys_error("fcntl", "pidfd"));
  return watch_object(info.Env(), std::move(own), -1, [](int) { return std::optional<Result<std::string>>(std::string()); });
}

/// cancelWatch(id): the watch's promise fails with ECANCELED if it has not settled.
Napi::Value cancel_watch_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto id = args.integer(0, 1, int64_t{1} << 53);
  if (!args.ok()) return args.fail();
  const auto reactor = Reactor::for_env(info.Env());
  if (!reactor.ok()) return raise(info.Env(), reactor.error());
  reactor.value()->cancel(static_cast<uint64_t>(id));
  return info.Env().Undefined();
}

/// pidfdOpen(pid): fd
Napi::Value pidfd_open_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto pid = args.integer(0, 1, INT32_MAX);
  if (!args.ok()) return args.fail();
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0u));
  if (fd < 0) return raise(info.Env(), sys_error("pidfd_open", std::to_string(pid)));
  return Napi::Number::New(info.Env(), fd);
}

/// killPidfd(fd, signal): void
Napi::Value kill_pidfd_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const int fd = args.fd(0);
  const auto signal = args.integer(1, 0, 64);
  if (!args.ok()) return args.fail();
  if (::syscall(SYS_pidfd_send_signal, fd, static_cast<int>(signal), nullptr, 0u) != 0) {
    return raise(info.Env(), sys_error("pidfd_send_signal"));
  }
  return info.Env().Undefined();
}

void init_process(Napi::Env env, Napi::Object exports) {
  exports.Set("spawnDetached", Napi::Function::New(env, spawn_call));
  exports.Set("watchReport", Napi::Function::New(env, watch_report_call));
  exports.Set("watchPidfd", Napi::Function::New(env, watch_pidfd_call));
  exports.Set("cancelWatch", Napi::Function::New(env, cancel_watch_call));
  exports.Set("pidfdOpen", Napi::Function::New(env, pidfd_open_call));
  exports.Set("killPidfd", Napi::Function::New(env, kill_pidfd_call));
}

}  // namespace
BERTH_ADDON_MODULE(process, init_process);
}  // namespace berth::addon
