// A long piece of work on a thread of its own, with a promise for its end: for what would hold a libuv worker for seconds.
//
// Life story: start() makes the thread; `work` runs there; `settle` runs on the JavaScript thread and the job is gone. If the
// environment ends first (worker exit, process exit), `abort` is called, the thread is joined, and `settle` never runs.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <thread>

namespace berth::addon {

class Job {
 public:
  using Work = std::function<void()>;
  using OnJavaScript = std::function<void(Napi::Env)>;

  /// `abort` may be called from the JavaScript thread at any time until settle; it must make `work` return soon.
  static std::shared_ptr<Job> start(Napi::Env env, const char* name, std::function<void(Job&)> work, OnJavaScript settle, Work abort);
  /// From the work's thread: runs `call` on the JavaScript thread, soon and in order. Dropped when the environment is ending.
  void post(OnJavaScript call);

 private:
  Job() = default;
  static void on_env_end(void* job);

  /// Typed, because only that kind is told of what is still queued when the environment ends, and so can free it.
  static void run_queued(Napi::Env env, Napi::Function, std::nullptr_t*, OnJavaScript* call);
  using Queue = Napi::TypedThreadSafeFunction<std::nullptr_t, OnJavaScript, run_queued>;

  Queue call_;
  std::thread thread_;
  Work abort_;
  std::shared_ptr<Job> self_;  // until settled
  napi_env env_ = nullptr;
};

}  // namespace berth::addon
