// Binding: class LayerDiff, a directory as a stream of tar bytes; usage; removal.
#include <fcntl.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>

#include "addon/addon.h"
#include "addon/job.h"
#include "base/fd.h"
#include "tar/beneath.h"
#include "tar/diff.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxPieces = 8;  // of 256 KiB, made ahead of the reader

/// Between the job's thread and the reads of the JavaScript side.
struct DiffState {
  tar::DiffOptions options;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> pieces;  // under mutex
  bool aborted = false;            // under mutex
  std::optional<Result<tar::DiffResult>> result;
  // JavaScript thread only:
  std::optional<Napi::Promise::Deferred> reader;
  bool started = false, done = false;

  Result<void> give(Job& job, std::span<const uint8_t> bytes, const std::shared_ptr<DiffState>& self) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return aborted || pieces.size() < kMaxPieces; });
      if (aborted) return Error{ECANCELED, "diff", options.upper, {}};
      pieces.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    job.post([self](Napi::Env env) { self->serve(env); });
    return {};
  }
  void abort() {
    const std::lock_guard lock(mutex);
    aborted = true;
    changed.notify_all();
  }
  /// Settles the waiting read if there is something to say.
  void serve(Napi::Env env) {
    if (!reader) return;
    std::optional<std::string> piece;
    {
      const std::lock_guard lock(mutex);
      if (!pieces.empty()) {
        piece = std::move(pieces.front());
        pieces.pop_front();
        changed.notify_all();
      }
    }
    if (!piece && !done) return;
    const Napi::Promise::Deferred deferred = *std::exchange(reader, std::nullopt);
    if (piece) return deferred.Resolve(Napi::Buffer<char>::Copy(env, piece->data(), piece->size()));
    if (!result->ok()) return deferred.Reject(to_js_error(env, result->error()).Value());
    deferred.Resolve(env.Null());
  }
};

/// new LayerDiff({ upper, whiteouts, gzip }); read(): Promise<Buffer|null>, one at a time; result() after null; abort().
class LayerDiff final : public Napi::ObjectWrap<LayerDiff> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("LayerDiff", DefineClass(env, "LayerDiff",
                                         {InstanceMethod<&LayerDiff::read>("read"), InstanceMethod<&LayerDiff::result>("result"),
                                          InstanceMethod<&LayerDiff::abort>("abort")}));
  }

  explicit LayerDiff(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LayerDiff>(info), state_(std::make_shared<DiffState>()) {
    Args args(info.Env(), info[0], "options");
    state_->options.upper = args.string("upper");
    state_->options.whiteouts = args.boolean("whiteouts");
    state_->options.gzip = args.boolean("gzip");
    if (!args.ok()) args.fail();
  }
  ~LayerDiff() override { state_->abort(); }

 private:
  Napi::Value read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (state_->reader) {
      Napi::TypeError::New(env, "a read is under way").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    state_->reader = Napi::Promise::Deferred::New(env);
    const Napi::Promise promise = state_->reader->Promise();
    if (!std::exchange(state_->started, true)) start(env);
    state_->serve(env);
    return promise;
  }

  void start(Napi::Env env) {
    const auto state = state_;
    Job::start(
        env, "berth diff",
        [state](Job& job) {
          state->result.emplace(tar::diff_layer(
              state->options, [&](std::span<const uint8_t> bytes) { return state->give(job, bytes, state); }));
        },
        [state](Napi::Env js) {
          state->done = true;
          state->serve(js);
        },
        [state] { state->abort(); });
  }

  Napi::Value result(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!state_->done || !state_->result->ok()) return env.Null();
    const tar::DiffResult& result = state_->result->value();
    Napi::Object object = Napi::Object::New(env);
    object.Set("diffId", result.diff_id);
    object.Set("digest", result.digest);
    object.Set("size", static_cast<double>(result.size));
    object.Set("tarSize", static_cast<double>(result.tar_size));
    return object;
  }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    state_->abort();
    return info.Env().Undefined();
  }

  std::shared_ptr<DiffState> state_;
};

/// diskUsage(path): Promise<{ bytes, inodes }>
Napi::Value usage_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto path = args.string(0);
  if (!args.ok()) return args.fail();
  return run_async<tar::Usage>(
      info.Env(), [=] { return tar::disk_usage(path); },
      [](Napi::Env env, tar::Usage& usage) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("bytes", static_cast<double>(usage.bytes));
        object.Set("inodes", static_cast<double>(usage.inodes));
        return object;
      });
}

/// removeTree(path): Promise<void>: with everything below it, on its file system only, following no link; a missing one is success.
Napi::Value remove_tree_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto path = args.string(0);
  const size_t slash = path.rfind('/');
  if (args.ok() && (slash == std::string::npos || slash + 1 == path.size())) args.reject("argument 1 must be an absolute path without a slash at its end");
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [path, slash]() -> Result<void> {
    const std::string above = path.substr(0, slash + 1);
    UniqueFd parent(::open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent && errno == ENOENT) return {};
    if (!parent) return sys_error("open", above);
    return tar::remove_tree(parent.get(), path.substr(slash + 1));
  });
}

void init_diff(Napi::Env env, Napi::Object exports) {
  LayerDiff::init(env, exports);
  exports.Set("diskUsage", Napi::Function::New(env, usage_call));
  exports.Set("removeTree", Napi::Function::New(env, remove_tree_call));
}

}  // namespace
BERTH_ADDON_MODULE(diff, init_diff);
}  // namespace berth::addon
