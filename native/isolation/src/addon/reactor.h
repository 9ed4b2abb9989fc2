// One epoll thread an environment: waiting for descriptors (a process's end, a monitor's report) without a thread each.
//
// Life story: for_env() makes it on first use; watch() from the JavaScript thread; the callback runs on the reactor's thread; the
// promise settles on the JavaScript thread. When the environment ends (process or worker exit) the thread is stopped and joined
// first, and whatever it held is closed.
#pragma once

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/result.h"

namespace berth::addon {

class Reactor {
 public:
  using Clock = std::chrono::steady_clock;
  /// Called when the descriptor is readable; a value ends the watch with it, nothing goes on waiting.
  using OnReady = std::function<std::optional<Result<std::string>>(int fd)>;

  static Result<Reactor*> for_env(Napi::Env env);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  struct Handle {
    uint64_t id;
    Napi::Promise promise;
  };
  /// Takes the descriptor. `deadline_ms` < 0: none; else the promise fails with ETIMEDOUT. Resolves with the callback's string.
  Result<Handle> watch(Napi::Env env, UniqueFd fd, int64_t deadline_ms, OnReady on_ready);
  /// The promise fails with ECANCELED; nothing happens when it has settled.
  void cancel(uint64_t id);

 private:
  struct Watch;
  struct Settled;
  Reactor() = default;
  Result<void> start(Napi::Env env);
  void run();
  void finish(std::map<uint64_t, std::unique_ptr<Watch>>::iterator found, Result<std::string> result);
  void settle(Napi::Env env, Settled& settled);
  int next_timeout();
  void wake();

  static void run_settled(Napi::Env env, Napi::Function, Reactor* reactor, Settled* settled);
  using Queue = Napi::TypedThreadSafeFunction<Reactor, Settled, run_settled>;  // typed: see job.h

  Queue call_;
  UniqueFd epoll_, wake_;
  std::thread thread_;
  std::mutex mutex_;
  bool stop_ = false;                                   // under mutex_
  std::map<uint64_t, std::unique_ptr<Watch>> watches_;  // under mutex_
  uint64_t next_id_ = 1;                                // JavaScript thread only, like the two below
  size_t pending_ = 0;
  std::map<uint64_t, Napi::Promise::Deferred> promises_;
};

}  // namespace berth::addon
