// Binding: what is under a path of a container: statPath, resolveDirectory, makeDirectory, checkUser, class TreeRead.
#include <sys/stat.h>

#include "addon/addon.h"
#include "addon/job.h"
#include "addon/piece_stream.h"
#include "addon/view.h"
#include "container/paths.h"
#include "container/users.h"
#include "stream/handover.h"
#include "stream/http_output.h"
#include "tar/piece_output.h"
#include "tar/tree_path.h"
#include "tar/tree_read.h"

namespace berth::addon {
namespace {

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

/// The client's own connection, as the place for an archive: the body of an HTTP answer in chunks. It is waited for with the first bytes,
/// because the answer's head, which tells what will be in the archive, is written before it is handed over.
class ClientOutput {
 public:
  ClientOutput(stream::Inbox& inbox, const stream::Interrupt& interrupt) : inbox_(inbox), interrupt_(interrupt) {}

  Result<void> write(std::span<const uint8_t> bytes) {
    BERTH_TRY(open());
    return http_->write(bytes);
  }
  Result<void> send_file(int file, uint64_t offset, uint64_t length) {
    BERTH_TRY(open());
    return http_->send_file(file, offset, length);
  }

 private:
  Result<void> open() {
    if (http_) return {};
    BERTH_ASSIGN(client_, inbox_.take(interrupt_, stream::kHandoverTimeout));
    http_.emplace(client_.fd.get(), interrupt_);
    return {};
  }

  stream::Inbox& inbox_;
  const stream::Interrupt& interrupt_;
  stream::Connection client_;
  std::optional<stream::HttpOutput> http_;
};

/// new TreeRead(view, path|null, inbox|null); start(): Promise<status|null> once it is known; read(): Promise<Buffer|null>; abort().
/// A null path is the whole root, and has no status. With an inbox the bytes go to the connection that is handed over there, and read()
/// only tells of the end.
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
    inbox_ = call.string_or_null(2);
    if (call.ok() && !viewed.ok()) call.reject(viewed.mistake());
    if (!call.ok()) {
      call.fail();
      return;
    }
    auto interrupt = stream::Interrupt::create();
    if (!interrupt.ok()) {
      to_js_error(info.Env(), interrupt.error()).ThrowAsJavaScriptException();
      return;
    }
    interrupt_ = std::make_shared<stream::Interrupt>(std::move(interrupt).value());
    stream_->when_aborted([interrupt = interrupt_] { interrupt->call_off(); });
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
        [view = view_, path = path_, inbox_path = inbox_, interrupt = interrupt_, waiting](Job& job, const PieceStream::Give& give) -> Result<void> {
          // Before the view, in which paths may mean something else.
          std::optional<stream::Inbox> inbox;
          if (inbox_path) {
            BERTH_ASSIGN(stream::Inbox opened, stream::Inbox::open(*inbox_path));
            inbox.emplace(std::move(opened));
          }
          BERTH_ASSIGN(const UniqueFd root, open_view(view));
          const auto tell = [&](std::optional<tar::PathStatus> found) {
            job.post([waiting, found](Napi::Env js) {
              const Start deferred = std::exchange(*waiting, std::nullopt);
              if (deferred) deferred->Resolve(found ? to_js(js, *found) : js.Null());
            });
          };
          const auto archive = [&](tar::ByteOutput& output) {
            return path ? tar::read_tree(root.get(), *path, tell, output) : tar::export_tree(root.get(), output);
          };
          if (!path) tell(std::nullopt);
          if (!inbox) {
            tar::PieceOutput output(give);
            BERTH_TRY(archive(output));
            return output.flush();
          }
          ClientOutput client(*inbox, *interrupt);
          tar::PieceOutput output([&](std::span<const uint8_t> bytes) { return client.write(bytes); },
                                  [&](int file, uint64_t offset, uint64_t length) { return client.send_file(file, offset, length); });
          BERTH_TRY(archive(output));
          return output.flush();
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
  std::optional<std::string> path_, inbox_;
  std::shared_ptr<stream::Interrupt> interrupt_;
  std::shared_ptr<PieceStream> stream_ = std::make_shared<PieceStream>();
  bool started_ = false;
};

void init_tree(Napi::Env env, Napi::Object exports) {
  TreeRead::init(env, exports);
  exports.Set("statPath", Napi::Function::New(env, stat_call));
  exports.Set("checkUser", Napi::Function::New(env, check_user_call));
  exports.Set("resolveDirectory", Napi::Function::New(env, resolve_call));
  exports.Set("makeDirectory", Napi::Function::New(env, make_directory_call));
}

}  // namespace
BERTH_ADDON_MODULE(tree, init_tree);
}  // namespace berth::addon
