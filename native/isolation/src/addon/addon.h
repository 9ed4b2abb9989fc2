// What every binding file shares: registration, checked arguments, errors, calls off the event loop.
//
// A binding file (sys_*.cc, tar_*.cc, net_*.cc) adds itself with BERTH_ADDON_MODULE(name, init); nothing else needs an edit.
// Only plain data crosses the boundary: numbers, strings, booleans, bigint, Buffer, arrays and plain objects of these, and an
// explicit null for "none". A missing or wrong field throws a TypeError that names it; defaults live in TypeScript.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace berth::addon {

using InitFn = void (*)(Napi::Env env, Napi::Object exports);

/// Links a file's init function into the list that module start runs for every environment (main thread and each worker).
struct Module {
  explicit Module(InitFn init) noexcept;
  InitFn init;
  Module* next;
};
#define BERTH_ADDON_MODULE(name, init) static ::berth::addon::Module berth_addon_module_##name{init}

/// Error object with `code` (errno name, "ENOENT"), `errno` (number), `syscall`, `path` (what it was done to) and `detail`.
Napi::Error to_js_error(Napi::Env env, const Error& error);

/// Reads arguments with their types checked. The first mistake is kept; `ok()` is false from then on and getters give
/// empty values, so that a binding reads everything first and then says `if (!in.ok()) return in.fail();`.
class Args {
 public:
  explicit Args(const Napi::CallbackInfo& info) : env_(info.Env()), info_(&info) {}
  /// Fields of one plain object (a nested one: `what` is its name in messages).
  Args(Napi::Env env, Napi::Value object, std::string what);

  // By field name (objects) or by position (arguments).
  template <typename Key>
  std::string string(Key key) {
    return to_string(at(key), name(key));
  }
  template <typename Key>
  std::optional<std::string> string_or_null(Key key) {
    const Napi::Value value = at(key);
    if (value.IsNull()) return std::nullopt;
    return to_string(value, name(key), "a string or null");
  }
  template <typename Key>
  int64_t integer(Key key, int64_t min, int64_t max) {
    return to_integer(at(key), name(key), min, max);
  }
  template <typename Key>
  std::optional<int64_t> integer_or_null(Key key, int64_t min, int64_t max) {
    const Napi::Value value = at(key);
    if (value.IsNull()) return std::nullopt;
    return to_integer(value, name(key), min, max);
  }
  template <typename Key>
  int fd(Key key) {
    return static_cast<int>(integer(key, 0, INT32_MAX));
  }
  template <typename Key>
  bool boolean(Key key) {
    return to_boolean(at(key), name(key));
  }
  template <typename Key>
  std::vector<std::string> strings(Key key, size_t max_count = 65536) {
    return to_strings(at(key), name(key), max_count);
  }
  template <typename Key>
  std::vector<int> fds(Key key, size_t max_count = 256) {
    return to_fds(at(key), name(key), max_count);
  }
  template <typename Key>
  Napi::Function function_or_null(Key key) {
    return to_function(at(key), name(key));
  }
  template <typename Key>
  Args object(Key key) {
    Args nested(env_, at(key), name(key));
    if (ok() && !nested.ok()) mistake_ = nested.mistake_;
    return nested;
  }
  /// The value as it is, for arrays of objects: check with `Args(env, element, "what")`.
  template <typename Key>
  Napi::Value raw(Key key) {
    return at(key);
  }

  [[nodiscard]] bool ok() const noexcept { return mistake_.empty(); }
  /// Notes a mistake ("flags must be …").
  void reject(std::string message) {
    if (mistake_.empty()) mistake_ = std::move(message);
  }
  /// Throws the TypeError and gives the empty value to return.
  Napi::Value fail() const;
  [[nodiscard]] const std::string& mistake() const noexcept { return mistake_; }

 private:
  Napi::Value at(const char* field);
  Napi::Value at(int index);
  [[nodiscard]] std::string name(const char* field) const { return what_.empty() ? field : what_ + "." + field; }
  [[nodiscard]] std::string name(int index) const { return "argument " + std::to_string(index + 1); }
  std::string to_string(Napi::Value value, const std::string& name, const char* expected = "a string");
  int64_t to_integer(Napi::Value value, const std::string& name, int64_t min, int64_t max);
  bool to_boolean(Napi::Value value, const std::string& name);
  std::vector<std::string> to_strings(Napi::Value value, const std::string& name, size_t max_count);
  std::vector<int> to_fds(Napi::Value value, const std::string& name, size_t max_count);
  Napi::Function to_function(Napi::Value value, const std::string& name);

  Napi::Env env_;
  const Napi::CallbackInfo* info_ = nullptr;
  Napi::Object object_;
  std::string what_;
  std::string mistake_;
};

namespace detail {

/// One call on a libuv worker thread. Never use it for code that changes namespace, root, umask or working directory:
/// the thread goes back to the pool (see run_on_own_thread).
template <typename T>
class Call final : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result<T>()>;
  using Convert = std::function<Napi::Value(Napi::Env, T&)>;

  Call(Napi::Env env, Work work, Convert convert)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), convert_(std::move(convert)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_.emplace(work_()); }
  void OnOK() override {
    const Napi::Env env = Env();
    if (!result_->ok()) return deferred_.Reject(to_js_error(env, result_->error()).Value());
    deferred_.Resolve(convert_(env, result_->value()));
  }

 private:
  Napi::Promise::Deferred deferred_;
  Work work_;
  Convert convert_;
  std::optional<Result<T>> result_;
};

}  // namespace detail

/// Runs `work` on a libuv worker thread; the promise settles with `convert(value)` or the error.
template <typename T>
Napi::Value run_async(Napi::Env env, std::function<Result<T>()> work, std::function<Napi::Value(Napi::Env, T&)> convert) {
  auto* call = new detail::Call<T>(env, std::move(work), std::move(convert));
  const Napi::Promise promise = call->promise();
  call->Queue();
  return promise;
}

/// Nothing to give back: the promise settles with undefined.
inline Napi::Value run_async_void(Napi::Env env, std::function<Result<void>()> work) {
  return run_async<bool>(
      env,
      [work = std::move(work)]() -> Result<bool> {
        BERTH_TRY(work());
        return true;
      },
      [](Napi::Env e, bool&) -> Napi::Value { return e.Undefined(); });
}

/// Runs `work` on a thread made for it that ends with it: for whatever changes namespaces, cwd or umask. The calling
/// (libuv) thread waits for it, so keep such work short.
Result<void> run_on_own_thread(const std::function<Result<void>()>& work);

}  // namespace berth::addon
