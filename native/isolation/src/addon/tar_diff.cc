// Binding: class LayerDiff, a directory as a stream of tar bytes; changes; usage; removal.
#include <fcntl.h>

#include <cstring>

#include "addon/addon.h"
#include "addon/piece_stream.h"
#include "base/fd.h"
#include "tar/beneath.h"
#include "tar/changes.h"
#include "tar/diff.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxLayers = 512;

std::set<std::string> to_set(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

/// new LayerDiff({ upper, whiteouts, gzip, live, faithful, lower, ignored }); read(): Promise<Buffer|null>, one at a time; result() after null; abort().
class LayerDiff final : public Napi::ObjectWrap<LayerDiff> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("LayerDiff", DefineClass(env, "LayerDiff",
                                         {InstanceMethod<&LayerDiff::read>("read"), InstanceMethod<&LayerDiff::result>("result"),
                                          InstanceMethod<&LayerDiff::abort>("abort")}));
  }

  explicit LayerDiff(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LayerDiff>(info) {
    Args args(info.Env(), info[0], "options");
    tar::DiffOptions& options = state_->options;
    options.upper = args.string("upper");
    options.whiteouts = args.boolean("whiteouts");
    options.gzip = args.boolean("gzip");
    options.live = args.boolean("live");
    options.faithful = args.boolean("faithful");
    options.lower = args.strings("lower", kMaxLayers);
    options.ignored = to_set(args.strings("ignored"));
    if (!args.ok()) args.fail();
  }
  ~LayerDiff() override { stream_->abort(); }

 private:
  struct State {
    tar::DiffOptions options;
    tar::DiffResult result;  // after the job's end
  };

  Napi::Value read(const Napi::CallbackInfo& info) {
    if (!std::exchange(started_, true)) {
      stream_->start(info.Env(), "berth diff", [state = state_](Job&, const PieceStream::Give& give) -> Result<void> {
        BERTH_ASSIGN(state->result, tar::diff_layer(state->options, give));
        return {};
      });
    }
    return stream_->read(info.Env());
  }

  Napi::Value result(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!stream_->succeeded()) return env.Null();
    const tar::DiffResult& result = state_->result;
    Napi::Object object = Napi::Object::New(env);
    object.Set("diffId", result.diff_id);
    object.Set("digest", result.digest);
    object.Set("size", static_cast<double>(result.size));
    object.Set("tarSize", static_cast<double>(result.tar_size));
    return object;
  }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    stream_->abort();
    return info.Env().Undefined();
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<PieceStream> stream_ = std::make_shared<PieceStream>();
  bool started_ = false;
};

/// layerChanges({ upper, lower, ignored }): Promise<{ kinds: number[], paths: string[] }>
Napi::Value changes_call(const Napi::CallbackInfo& info) {
  Args call(info);
  Args args = call.object(0);
  tar::ChangesOptions options;
  options.upper = args.string("upper");
  options.lower = args.strings("lower", kMaxLayers);
  options.ignored = to_set(args.strings("ignored"));
  if (!args.ok()) return args.fail();
  return run_async<std::vector<tar::Change>>(
      info.Env(), [options] { return tar::layer_changes(options); },
      [](Napi::Env env, std::vector<tar::Change>& changes) -> Napi::Value {
        Napi::Array kinds = Napi::Array::New(env, changes.size());
        Napi::Array paths = Napi::Array::New(env, changes.size());
        for (uint32_t i = 0; i < changes.size(); ++i) {
          kinds.Set(i, static_cast<double>(changes[i].kind));
          paths.Set(i, changes[i].path);
        }
        Napi::Object object = Napi::Object::New(env);
        object.Set("kinds", kinds);
        object.Set("paths", paths);
        return object;
      });
}

/// diskUsage(path): Promise<{ bytes, inodes, fileBytes }>
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
        object.Set("fileBytes", static_cast<double>(usage.file_bytes));
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
  exports.Set("layerChanges", Napi::Function::New(env, changes_call));
  exports.Set("diskUsage", Napi::Function::New(env, usage_call));
  exports.Set("removeTree", Napi::Function::New(env, remove_tree_call));
}

}  // namespace
BERTH_ADDON_MODULE(diff, init_diff);
}  // namespace berth::addon
