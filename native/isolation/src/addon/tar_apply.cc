// Binding: class LayerApply, one layer on its way into a directory; inheritDirectories.
#include <fcntl.h>
#include <sys/stat.h>

#include "addon/addon.h"
#include "addon/job.h"
#include "tar/apply.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxQueued = 4u << 20;  // bytes that write() takes before it makes the caller wait

/// Shared by the JavaScript object and the running job; the object may be collected while the job runs.
struct ApplyState {
  std::unique_ptr<tar::Source> source;
  tar::FollowSource* follow = nullptr;  // one of them, or neither, is `source`
  tar::PushSource* push = nullptr;
  tar::ApplyOptions options;
  std::atomic<uint64_t> bytes_in = 0;
  std::optional<Result<tar::ApplyResult>> result;
  Job* job = nullptr;                             // valid while the job's thread runs
  std::vector<Napi::Promise::Deferred> waiting;  // writers; JavaScript thread only
  bool settled = false;                          // JavaScript thread only

  void release_writers() {
    for (const auto& deferred : std::exchange(waiting, {})) deferred.Resolve(deferred.Env().Undefined());
  }
};

Napi::Value to_js(Napi::Env env, const tar::ApplyResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("diffId", result.diff_id);
  object.Set("compressedDigest", result.compressed_digest.empty() ? env.Null() : Napi::String::New(env, result.compressed_digest));
  object.Set("bytesIn", static_cast<double>(result.bytes_in));
  object.Set("bytesOut", static_cast<double>(result.bytes_out));
  object.Set("entries", static_cast<double>(result.entries));
  object.Set("fileBytes", static_cast<double>(result.file_bytes));
  Napi::Array implied = Napi::Array::New(env, result.implied.size());
  for (size_t i = 0; i < result.implied.size(); ++i) implied.Set(static_cast<uint32_t>(i), result.implied[i]);
  object.Set("implied", implied);
  Napi::Array links = Napi::Array::New(env, result.links.size() * 2);
  uint32_t at = 0;
  for (const auto& [path, target] : result.links) {
    links.Set(at++, path);
    links.Set(at++, target);
  }
  object.Set("links", links);
  return object;
}

/// new LayerApply({ source: { kind: "file"|"follow"|"push", path: string|null }, target, whiteouts, hashCompressed, maxBytes,
/// maxEntries, sync, faithful, deferLinks }); .result: Promise
class LayerApply final : public Napi::ObjectWrap<LayerApply> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("LayerApply", DefineClass(env, "LayerApply",
                                          {InstanceMethod<&LayerApply::write>("write"), InstanceMethod<&LayerApply::advance>("advance"),
                                           InstanceMethod<&LayerApply::complete>("complete"), InstanceMethod<&LayerApply::abort>("abort"),
                                           InstanceMethod<&LayerApply::bytes_in>("bytesIn"), InstanceMethod<&LayerApply::start>("start")}));
  }

  explicit LayerApply(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LayerApply>(info), state_(std::make_shared<ApplyState>()) {
    Args args(info.Env(), info[0], "options");
    Args source = args.object("source");
    const std::string kind = source.string("kind");
    const auto path = source.string_or_null("path");
    tar::ApplyOptions& options = state_->options;
    options.target = args.string("target");
    options.whiteouts = args.boolean("whiteouts");
    options.hash_compressed = args.boolean("hashCompressed");
    options.max_bytes = static_cast<uint64_t>(args.integer("maxBytes", 0, int64_t{1} << 53));
    options.max_entries = static_cast<uint64_t>(args.integer("maxEntries", 1, int64_t{1} << 32));
    options.sync = args.boolean("sync");
    options.faithful = args.boolean("faithful");
    options.defer_links = args.boolean("deferLinks");
    if (args.ok() && !source.ok()) args.reject(source.mistake());
    if (args.ok() && kind != "file" && kind != "follow" && kind != "push") args.reject("options.source.kind must be file, follow or push");
    if (args.ok() && (kind == "push") == path.has_value()) args.reject("options.source.path must be given for files and null for push");
    if (!args.ok()) {
      args.fail();
      return;
    }
    const auto opened = open_source(kind, path);
    if (!opened.ok()) to_js_error(info.Env(), opened.error()).ThrowAsJavaScriptException();
  }

  /// A push or follow source that can't be fed any more would wait for ever.
  ~LayerApply() override {
    if (state_->source && (state_->push != nullptr || state_->follow != nullptr)) state_->source->abort();
  }

 private:
  Result<void> open_source(const std::string& kind, const std::optional<std::string>& path) {
    if (kind == "push") {
      // The drained call comes on the job's thread; the state outlives it.
      auto push = std::make_unique<tar::PushSource>(kMaxQueued, [state = state_.get()] {
        state->job->post([state](Napi::Env) { state->release_writers(); });
      });
      state_->push = push.get();
      state_->source = std::move(push);
      return {};
    }
    UniqueFd fd(::open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return sys_error("open", *path);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return sys_error("fstat", *path);
    // Anything else could block a read for ever, where abort does not reach.
    if (!S_ISREG(status.st_mode)) return Error{EINVAL, "open", *path, "not a regular file"};
    if (kind == "follow") {
      auto follow = std::make_unique<tar::FollowSource>(std::move(fd));
      state_->follow = follow.get();
      state_->source = std::move(follow);
    } else {
      state_->source = std::make_unique<tar::FileSource>(std::move(fd));
    }
    return {};
  }

  /// start(): Promise<result>; once.
  Napi::Value start(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!state_->source || std::exchange(started_, true)) {
      Napi::TypeError::New(env, "start may be called once").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    const auto state = state_;
    Job::start(
        env, "berth layer",
        [state](Job& job) {
          state->job = &job;
          state->result.emplace(tar::apply_layer(*state->source, state->options, state->bytes_in));
        },
        [state, deferred](Napi::Env js) {
          state->settled = true;
          state->release_writers();  // they learn of a failure by the result
          if (!state->result->ok()) return deferred.Reject(to_js_error(js, state->result->error()).Value());
          deferred.Resolve(to_js(js, state->result->value()));
        },
        [state] { state->source->abort(); });
    return deferred.Promise();
  }

  /// write(buffer): Promise<void>|undefined: undefined when more may come at once.
  Napi::Value write(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (state_->push == nullptr || !info[0].IsBuffer()) {
      Napi::TypeError::New(env, "write takes a Buffer, on a push source").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto buffer = info[0].As<Napi::Buffer<char>>();
    if (state_->settled || state_->push->push(std::string(buffer.Data(), buffer.Length()))) return env.Undefined();
    state_->waiting.push_back(Napi::Promise::Deferred::New(env));
    return state_->waiting.back().Promise();
  }

  /// advance(size): the first `size` bytes of the followed file are there.
  Napi::Value advance(const Napi::CallbackInfo& info) {
    Args args(info);
    const auto size = args.integer(0, 0, int64_t{1} << 53);
    if (state_->follow == nullptr) args.reject("advance needs a follow source");
    if (!args.ok()) return args.fail();
    state_->follow->advance(static_cast<uint64_t>(size));
    return info.Env().Undefined();
  }

  /// complete(): no more bytes than were written or announced.
  Napi::Value complete(const Napi::CallbackInfo& info) {
    if (state_->follow != nullptr) state_->follow->complete();
    if (state_->push != nullptr) state_->push->complete();
    return info.Env().Undefined();
  }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    if (state_->source) state_->source->abort();
    return info.Env().Undefined();
  }

  Napi::Value bytes_in(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(state_->bytes_in.load(std::memory_order_relaxed)));
  }

  std::shared_ptr<ApplyState> state_;
  bool started_ = false;
};

/// inheritDirectories(target, lower: string[] top first, paths: string[]): Promise<void>
Napi::Value inherit_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto target = args.string(0);
  auto lower = args.strings(1, 512);
  auto paths = args.strings(2, 10'000'000);
  if (!args.ok()) return args.fail();
  return run_async_void(info.Env(), [=] { return tar::inherit_directories(target, lower, paths); });
}

/// copyUpLinks(target, lower: string[] top first, links: string[] path, target, path, target …, maxBytes): Promise<{ implied, fileBytes }>
Napi::Value copy_up_call(const Napi::CallbackInfo& info) {
  Args args(info);
  auto target = args.string(0);
  auto lower = args.strings(1, 512);
  const auto pairs = args.strings(2, 20'000'000);
  const auto max_bytes = static_cast<uint64_t>(args.integer(3, 0, int64_t{1} << 53));
  if (args.ok() && pairs.size() % 2 != 0) args.reject("links must be pairs of path and target");
  if (!args.ok()) return args.fail();
  tar::DeferredLinks links;
  for (size_t i = 0; i < pairs.size(); i += 2) links.insert_or_assign(pairs[i], pairs[i + 1]);
  return run_async<tar::CopiedUp>(
      info.Env(), [=] { return tar::copy_up_links(target, lower, links, max_bytes); },
      [](Napi::Env env, tar::CopiedUp& copied) -> Napi::Value {
        Napi::Array implied = Napi::Array::New(env, copied.implied.size());
        for (size_t i = 0; i < copied.implied.size(); ++i) implied.Set(static_cast<uint32_t>(i), copied.implied[i]);
        Napi::Object object = Napi::Object::New(env);
        object.Set("implied", implied);
        object.Set("fileBytes", static_cast<double>(copied.file_bytes));
        return object;
      });
}

void init_apply(Napi::Env env, Napi::Object exports) {
  LayerApply::init(env, exports);
  exports.Set("inheritDirectories", Napi::Function::New(env, inherit_call));
  exports.Set("copyUpLinks", Napi::Function::New(env, copy_up_call));
}

}  // namespace
BERTH_ADDON_MODULE(apply, init_apply);
}  // namespace berth::addon
