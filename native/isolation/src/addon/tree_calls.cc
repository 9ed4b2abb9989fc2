// Binding: what is under a path of a container: statPath, resolveDirectory, makeDirectory, checkUser, classes TreeRead and TreeWrite.
#include <sched.h>
#include <sys/stat.h>

#include "addon/addon.h"
#include "addon/job.h"
#include "addon/piece_stream.h"
#include "addon/view.h"
#include "container/paths.h"
#include "container/users.h"
#include "tar/tree_path.h"
#include "tar/tree_read.h"
#include "tar/tree_write.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxQueued = 4u << 20;  // bytes that write() takes before it makes the caller wait

Napi::Value to_js(Napi::Env env, const tar::PathStatus& path) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("size", static_cast<double>(path.status.st_size));
  object.Set("mode", static_cast<double>(path.status.st_mode));
  object.Set("mtimeSeconds", static_cast<double>(path.status.st_mtim.tv_sec));
  object.Set("mtimeNanos", static_cast<double>(path.status.st_mtim.tv_nsec));
  object.Set("target", path.target);
  return object;
}

/// A view is this thread's alone, which must end with it.
template <typename T>
Result<T> in_view(const ViewOptions& view, const std::function<Result<T>(int)>& work) {
  std::optional<Result<T>> result;
  BERTH_TRY(run_on_own_thread([&]() -> Result<void> {
    BERTH_ASSIGN(const UniqueFd root, open_view(view));
    result.emplace(work(root.get()));
    return {};
  }));
  return std::move(*result);
}

/// For calls of (view, text) that give nothing but whether they could: `act` gets the root and the text.
Napi::Value act_in_view(const Napi::CallbackInfo& info, std::function<Result<void>(int, const std::string&)> act) {
  Args call(info);
  Args viewed = call.object(0);
  const ViewOptions view = read_view(info.Env(), viewed);
  const std::string text = call.string(1);
  if (call.ok() && !viewed.ok()) call.reject(viewed.mistake());
  if (!call.ok()) return call.fail();
  return run_async_void(info.Env(), [=]() -> Result<void> {
    return run_on_own_thread([&]() -> Result<void> {
      BERTH_ASSIGN(const UniqueFd root, open_view(view));
      return act(root.get(), text);
    });
  });
}

/// statPath(view, path): Promise<{ size, mode, mtimeSeconds, mtimeNanos, target }>
Napi::Value stat_call(const Napi::CallbackInfo& info) {
  Args call(info);
  Args viewed = call.object(0);
  const ViewOptions view = read_view(info.Env(), viewed);
  const std::string path = call.string(1);
  if (call.ok() && !viewed.ok()) call.reject(viewed.mistake());
  if (!call.ok()) return call.fail();
  return run_async<tar::PathStatus>(
      info.Env(), [=] { return in_view<tar::PathStatus>(view, [&](int root) { return tar::stat_path(root, path); }); },
      [](Napi::Env env, tar::PathStatus& found) { return to_js(env, found); });
}

/// resolveDirectory(view, path): Promise<string>: the directory's path without links; ENOENT, ENOTDIR
Napi::Value resolve_call(const Napi::CallbackInfo& info) {
  Args call(info);
  Args viewed = call.object(0);
  const ViewOptions view = read_view(info.Env(), viewed);
  const std::string path = call.string(1);
  if (call.ok() && !viewed.ok()) call.reject(viewed.mistake());
  if (!call.ok()) return call.fail();
  return run_async<std::string>(
      info.Env(),
      [=] {
        return in_view<std::string>(view, [&](int root) -> Result<std::string> {
          std::string resolved;
          BERTH_TRY(tar::open_directory(root, path, resolved));
          return resolved;
        });
      },
      [](Napi::Env env, std::string& resolved) -> Napi::Value { return Napi::String::New(env, resolved); });
}

/// makeDirectory(view, path): Promise<void>: of root's, with the directories above it; ENOTDIR where something else stands
Napi::Value make_directory_call(const Napi::CallbackInfo& info) {
  return act_in_view(info, [](int root, const std::string& path) -> Result<void> {
    BERTH_ASSIGN(const UniqueFd made, container::ensure_in_root(root, path, container::Make::directory));
    struct stat status {};
    if (::fstat(made.get(), &status) != 0) return sys_error("fstat", path);
    if (!S_ISDIR(status.st_mode)) return Error{ENOTDIR, "mkdir", path, ""};
    return {};
  });
}

/// checkUser(view, "name:group"): Promise<void>; EINVAL with Docker's text as detail for one that there is not
Napi::Value check_user_call(const Napi::CallbackInfo& info) {
  return act_in_view(info, [](int root, const std::string& user) -> Result<void> {
    BERTH_TRY(container::resolve_identity(root, {user, {}}, {}));
    return {};
  });
}

/// new TreeRead(view, path|null); start(): Promise<status|null> once it is known; read(): Promise<Buffer|null>; abort().
/// A null path is the whole root, and has no status.
class TreeRead final : public Napi::ObjectWrap<TreeRead> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("TreeRead", DefineClass(env, "TreeRead",
                                        {InstanceMethod<&TreeRead::start>("start"), InstanceMethod<&TreeRead::read>("read"),
                                         InstanceMethod<&TreeRead::abort>("abort")}));
  }

  explicit TreeRead(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TreeRead>(info) {
    Args call(info);
    Args viewed = call.object(0);
    view_ = read_view(info.Env(), viewed);
    path_ = call.string_or_null(1);
    if (call.ok() && !viewed.ok()) call.reject(viewed.mistake());
    if (!call.ok()) call.fail();
  }
  ~TreeRead() override { stream_->abort(); }

 private:
  using Start = std::optional<Napi::Promise::Deferred>;

  Napi::Value start(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (std::exchange(started_, true)) {
      Napi::TypeError::New(env, "start may be called once").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto waiting = std::make_shared<Start>(Napi::Promise::Deferred::New(env));
    const Napi::Promise promise = (*waiting)->Promise();
    stream_->start(
        env, "berth tree read",
        [view = view_, path = path_, waiting](Job& job, const PieceStream::Give& give) -> Result<void> {
          BERTH_ASSIGN(const UniqueFd root, open_view(view));
          const auto tell = [&](std::optional<tar::PathStatus> found) {
            job.post([waiting, found](Napi::Env js) {
              const Start deferred = std::exchange(*waiting, std::nullopt);
              if (deferred) deferred->Resolve(found ? to_js(js, *found) : js.Null());
            });
          };
          if (path) return tar::read_tree(root.get(), *path, tell, give);
          tell(std::nullopt);
          return tar::export_tree(root.get(), give);
        },
        [waiting](Napi::Env js, const Result<void>& result) {
          const Start deferred = std::exchange(*waiting, std::nullopt);
          if (!deferred) return;
          if (result.ok()) return deferred->Resolve(js.Null());
          deferred->Reject(to_js_error(js, result.error()).Value());
        });
    return promise;
  }

  Napi::Value read(const Napi::CallbackInfo& info) { return stream_->read(info.Env()); }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    stream_->abort();
    return info.Env().Undefined();
  }

  ViewOptions view_;
  std::optional<std::string> path_;
  std::shared_ptr<PieceStream> stream_ = std::make_shared<PieceStream>();
  bool started_ = false;
};

/// Shared by the JavaScript object and the running job.
struct WriteState {
  ViewOptions view;
  tar::TreeWriteOptions options;
  std::optional<std::string> user;
  std::optional<tar::PushSource> source;
  Result<void> result;
  Job* job = nullptr;                            // valid while the job's thread runs
  std::vector<Napi::Promise::Deferred> waiting;  // JavaScript thread only
  bool settled = false;                          // JavaScript thread only
  std::optional<Napi::Promise::Deferred> opening;  // JavaScript thread only

  void opened(bool yes) {
    const auto deferred = std::exchange(opening, std::nullopt);
    if (deferred) deferred->Resolve(Napi::Boolean::New(deferred->Env(), yes));
  }
  void release_writers() {
    for (const auto& deferred : std::exchange(waiting, {})) deferred.Resolve(deferred.Env().Undefined());
  }

  Result<void> run() {
    BERTH_ASSIGN(const UniqueFd root, open_view(view));
    // The umask belongs to the process unless the thread leaves the shared one.
    if (::unshare(CLONE_FS) != 0) return sys_error("unshare", "CLONE_FS");
    ::umask(0);
    job->post([this](Napi::Env) { opened(true); });
    if (user) {
      BERTH_ASSIGN(const auto identity, container::resolve_identity(root.get(), {*user, {}}, {}));
      options.owner.emplace(identity.uid, identity.gid);
    }
    return tar::write_tree(root.get(), *source, options);
  }
};

/// new TreeWrite(view, { directory, keepKind, user: string|null }); start(): Promise<void>; opened(): Promise<boolean>: writing begins, or could not; write(Buffer): Promise<void>|undefined;
/// complete(); abort().
class TreeWrite final : public Napi::ObjectWrap<TreeWrite> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("TreeWrite", DefineClass(env, "TreeWrite",
                                         {InstanceMethod<&TreeWrite::start>("start"), InstanceMethod<&TreeWrite::opened>("opened"),
                                          InstanceMethod<&TreeWrite::write>("write"),
                                          InstanceMethod<&TreeWrite::complete>("complete"), InstanceMethod<&TreeWrite::abort>("abort")}));
  }

  explicit TreeWrite(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TreeWrite>(info) {
    Args call(info);
    Args viewed = call.object(0);
    state_->view = read_view(info.Env(), viewed);
    Args args = call.object(1);
    state_->options.directory = args.string("directory");
    state_->options.keep_kind = args.boolean("keepKind");
    state_->user = args.string_or_null("user");
    for (const Args* part : {&viewed, &args}) {
      if (call.ok() && !part->ok()) call.reject(part->mistake());
    }
    if (!call.ok()) {
      call.fail();
      return;
    }
    // The drained call comes on the job's thread; the state outlives it.
    state_->source.emplace(kMaxQueued, [state = state_.get()] { state->job->post([state](Napi::Env) { state->release_writers(); }); });
  }
  /// A source that can't be fed any more would wait for ever.
  ~TreeWrite() override {
    if (state_->source) state_->source->abort();
  }

 private:
  Napi::Value start(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!state_->source || std::exchange(started_, true)) {
      Napi::TypeError::New(env, "start may be called once").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    state_->opening = opening_ = Napi::Promise::Deferred::New(env);
    const auto state = state_;
    Job::start(
        env, "berth tree write",
        [state](Job& job) {
          state->job = &job;
          state->result = state->run();
        },
        [state, deferred](Napi::Env js) {
          state->settled = true;
          state->opened(false);
          state->release_writers();  // they learn of a failure by the result
          if (!state->result.ok()) return deferred.Reject(to_js_error(js, state->result.error()).Value());
          deferred.Resolve(js.Undefined());
        },
        [state] { state->source->abort(); });
    return deferred.Promise();
  }

  /// After start().
  Napi::Value opened(const Napi::CallbackInfo& info) { return opening_ ? opening_->Promise() : info.Env().Undefined(); }

  Napi::Value write(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsBuffer()) {
      Napi::TypeError::New(env, "write takes a Buffer").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto buffer = info[0].As<Napi::Buffer<char>>();
    if (state_->settled || state_->source->push(std::string(buffer.Data(), buffer.Length()))) return env.Undefined();
    state_->waiting.push_back(Napi::Promise::Deferred::New(env));
    return state_->waiting.back().Promise();
  }

  Napi::Value complete(const Napi::CallbackInfo& info) {
    if (state_->source) state_->source->complete();
    return info.Env().Undefined();
  }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    if (state_->source) state_->source->abort();
    return info.Env().Undefined();
  }

  std::shared_ptr<WriteState> state_ = std::make_shared<WriteState>();
  std::optional<Napi::Promise::Deferred> opening_;
  bool started_ = false;
};

void init_tree(Napi::Env env, Napi::Object exports) {
  TreeRead::init(env, exports);
  TreeWrite::init(env, exports);
  exports.Set("statPath", Napi::Function::New(env, stat_call));
  exports.Set("checkUser", Napi::Function::New(env, check_user_call));
  exports.Set("resolveDirectory", Napi::Function::New(env, resolve_call));
  exports.Set("makeDirectory", Napi::Function::New(env, make_directory_call));
}

}  // namespace
BERTH_ADDON_MODULE(tree, init_tree);
}  // namespace berth::addon
