// Bytes that a job makes and JavaScript reads, one piece a promise; a reader that stops stops the job.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "addon/addon.h"
#include "addon/job.h"

namespace berth::addon {

/// Shared by the JavaScript object and the running job; the object may be collected while the job runs.
class PieceStream : public std::enable_shared_from_this<PieceStream> {
 public:
  using Give = std::function<Result<void>(std::span<const uint8_t>)>;
  using Make = std::function<Result<void>(Job&, const Give&)>;

  /// Starts the job, once. `ended` runs on the JavaScript thread after it, before the last read is answered.
  void start(Napi::Env env, const char* name, Make make, std::function<void(Napi::Env, const Result<void>&)> ended = nullptr) {
    const auto self = shared_from_this();
    Job::start(
        env, name,
        [self, make = std::move(make)](Job& job) {
          self->result_ = make(job, [&](std::span<const uint8_t> bytes) { return self->give(job, bytes); });
        },
        [self, ended = std::move(ended)](Napi::Env js) {
          self->done_ = true;
          if (ended) ended(js, self->result_);
          self->serve(js);
        },
        [self] { self->abort(); });
  }

  /// Promise of the next piece, null at the end; or a TypeError when one is being waited for.
  Napi::Value read(Napi::Env env) {
    if (reader_) {
      Napi::TypeError::New(env, "a read is under way").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    reader_ = Napi::Promise::Deferred::New(env);
    const Napi::Promise promise = reader_->Promise();
    serve(env);
    return promise;
  }

  /// For a job that waits for something else than its reader. Before start(); `call` comes from the JavaScript thread.
  void when_aborted(std::function<void()> call) { on_abort_ = std::move(call); }

  void abort() {
    if (on_abort_) on_abort_();
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    changed_.notify_all();
  }

  [[nodiscard]] bool succeeded() const { return done_ && result_.ok(); }

 private:
  static constexpr size_t kMaxPieces = 8;  // of 256 KiB, made ahead of the reader

  Result<void> give(Job& job, std::span<const uint8_t> bytes) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return aborted_ || pieces_.size() < kMaxPieces; });
      if (aborted_) return Error{ECANCELED, "read", "stream", {}};
      pieces_.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    job.post([self = shared_from_this()](Napi::Env env) { self->serve(env); });
    return {};
  }

  /// Settles the waiting read if there is something to say.
  void serve(Napi::Env env) {
    if (!reader_) return;
    std::optional<std::string> piece;
    {
      const std::lock_guard lock(mutex_);
      if (!pieces_.empty()) {
        piece = std::move(pieces_.front());
        pieces_.pop_front();
        changed_.notify_all();
      }
    }
    if (!piece && !done_) return;
    const Napi::Promise::Deferred deferred = *std::exchange(reader_, std::nullopt);
    if (piece) return deferred.Resolve(Napi::Buffer<char>::Copy(env, piece->data(), piece->size()));
    if (!result_.ok()) return deferred.Reject(to_js_error(env, result_.error()).Value());
    deferred.Resolve(env.Null());
  }

  std::function<void()> on_abort_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> pieces_;  // under mutex_
  bool aborted_ = false;            // under mutex_
  Result<void> result_;             // of the job; read after its end
  // JavaScript thread only:
  std::optional<Napi::Promise::Deferred> reader_;
  bool done_ = false;
};

}  // namespace berth::addon
