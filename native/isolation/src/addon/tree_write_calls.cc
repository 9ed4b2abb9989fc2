// Binding: class TreeWrite, an archive on its way into a container.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include "addon/addon.h"
#include "addon/job.h"
#include "addon/opening.h"
#include "addon/view.h"
#include "container/users.h"
#include "stream/handover.h"
#include "stream/http_input.h"
#include "tar/tree_write.h"

namespace berth::addon {
namespace {

constexpr size_t kMaxQueued = 4u << 20;  // bytes that write() takes before it makes the caller wait
/// Of a body that nobody wants: what is worth reading before the answer, so that a client that still writes reads why, and ms for that.
constexpr uint64_t kSkimmed = 256 * 1024;
constexpr int kSkimTimeout = 1'000;

/// The body of a client's request as an archive's source.
class ClientSource final : public tar::Source {
 public:
  ClientSource(stream::HttpInput& input, const stream::Interrupt& interrupt) : input_(input), interrupt_(interrupt) {}
  Result<size_t> read(std::span<uint8_t> into) override {
    auto count = input_.read(into);
    // A client that leaves has sent no damaged archive.
    if (!count.ok() && count.error().code == ECONNRESET) return Error{ECANCELED, "read", "layer", count.error().detail};
    return count;
  }
  void abort() override { interrupt_.call_off(); }

 private:
  stream::HttpInput& input_;
  const stream::Interrupt& interrupt_;
};

/// Shared by the JavaScript object and the running job.
struct WriteState {
  explicit WriteState(stream::Interrupt made) : interrupt(std::move(made)) {}

  ViewOptions view;
  tar::TreeWriteOptions options;
  std::optional<std::string> user;
  std::optional<std::string> inbox;
  std::optional<tar::PushSource> source;
  stream::Interrupt interrupt;
  Result<void> result;
  bool reusable = false;  // the client's connection, after the end
  Job* job = nullptr;     // valid while the job's thread runs
  std::vector<Napi::Promise::Deferred> waiting;    // JavaScript thread only
  bool settled = false;                            // JavaScript thread only
  Opening opening;  // JavaScript thread only

  void release_writers() {
    for (const auto& deferred : std::exchange(waiting, {})) deferred.Resolve(deferred.Env().Undefined());
  }
  void abort() {
    interrupt.call_off();
    if (source) source->abort();
  }

  Result<void> run() {
    // Before the view, in which paths may mean something else.
    std::optional<stream::Inbox> clients;
    if (inbox) {
      BERTH_ASSIGN(stream::Inbox made, stream::Inbox::open(*inbox));
      clients.emplace(std::move(made));
    }
    BERTH_ASSIGN(const UniqueFd root, open_view(view));
    // The umask belongs to the process unless the thread leaves the shared one.
    if (::unshare(CLONE_FS) != 0) return sys_error("unshare", "CLONE_FS");
    ::umask(0);
    job->post([this](Napi::Env) { opening.tell(true); });
    return clients ? receive(root.get(), *clients) : unpack(root.get(), *source);
  }

  Result<void> unpack(int root, tar::Source& archive) {
    if (user) {
      BERTH_ASSIGN(const auto identity, container::resolve_identity(root, {*user, {}}, {}));
      options.owner.emplace(identity.uid, identity.gid);
    }
    return tar::write_tree(root, archive, options);
  }

  Result<void> receive(int root, stream::Inbox& clients) {
    BERTH_ASSIGN(stream::Connection client, clients.take(interrupt, stream::kHandoverTimeout));
    BERTH_ASSIGN(stream::HttpInput input, stream::HttpInput::create(client.fd.get(), interrupt, std::move(client.head)));
    ClientSource archive(input, interrupt);
    const auto unpacked = unpack(root, archive);
    reusable = input.skim(kSkimmed, kSkimTimeout) && unpacked.ok();
    return unpacked;
  }
};

/// new TreeWrite(view, { directory, keepKind, user: string|null, inbox: string|null }); start(): { opened, done }, both
/// Promise<boolean>: writing begins, or could not; its end; write(Buffer): Promise<void>|undefined; complete(); abort(). With an inbox the archive is the body of the
/// request on the connection that is handed over there, write() and complete() do nothing, and `done` tells whether that can be used again.
class TreeWrite final : public Napi::ObjectWrap<TreeWrite> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("TreeWrite", DefineClass(env, "TreeWrite",
                                         {InstanceMethod<&TreeWrite::start>("start"), InstanceMethod<&TreeWrite::write>("write"),
                                          InstanceMethod<&TreeWrite::complete>("complete"), InstanceMethod<&TreeWrite::abort>("abort")}));
  }

  explicit TreeWrite(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TreeWrite>(info) {
    auto interrupt = stream::Interrupt::create();
    if (!interrupt.ok()) {
      to_js_error(info.Env(), interrupt.error()).ThrowAsJavaScriptException();
      return;
    }
    state_ = std::make_shared<WriteState>(std::move(interrupt).value());
    Args call(info);
    Args viewed = call.object(0);
    state_->view = read_view(info.Env(), viewed);
    Args args = call.object(1);
    state_->options.directory = args.string("directory");
    state_->options.keep_kind = args.boolean("keepKind");
    state_->user = args.string_or_null("user");
    state_->inbox = args.string_or_null("inbox");
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
    if (state_) state_->abort();
  }

 private:
  Napi::Value start(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!state_->source || std::exchange(started_, true)) {
      Napi::TypeError::New(env, "start may be called once").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    const Napi::Object promises = state_->opening.begin(env, deferred.Promise());
    const auto state = state_;
    Job::start(
        env, "berth tree write",
        [state](Job& job) {
          state->job = &job;
          state->result = state->run();
        },
        [state, deferred](Napi::Env js) {
          state->settled = true;
          state->opening.tell(false);
          state->release_writers();  // they learn of a failure by the result
          if (!state->result.ok()) return deferred.Reject(to_js_error(js, state->result.error()).Value());
          deferred.Resolve(Napi::Boolean::New(js, state->reusable));
        },
        [state] { state->abort(); });
    return promises;
  }

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
    state_->abort();
    return info.Env().Undefined();
  }

  std::shared_ptr<WriteState> state_;
  bool started_ = false;
};

/// handOver(path, fd, head: Buffer): Promise<void>: gives a connection (kept here too) to the inbox at `path`; see src/stream/handover.h.
Napi::Value hand_over_call(const Napi::CallbackInfo& info) {
  Args args(info);
  const auto path = args.string(0);
  const int fd = args.fd(1);
  if (args.ok() && !info[2].IsBuffer()) args.reject("argument 3 must be a Buffer");
  if (!args.ok()) return args.fail();
  const auto buffer = info[2].As<Napi::Buffer<char>>();
  // Closed by its owner meanwhile, its number could mean another connection by then.
  auto own = std::make_shared<UniqueFd>(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!*own) {
    to_js_error(info.Env(), sys_error("fcntl", "connection")).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return run_async_void(info.Env(), [path, own, head = std::string(buffer.Data(), buffer.Length())] {
    return stream::hand_over(path, own->get(), head);
  });
}

void init_tree_write(Napi::Env env, Napi::Object exports) {
  TreeWrite::init(env, exports);
  exports.Set("handOver", Napi::Function::New(env, hand_over_call));
}

}  // namespace
BERTH_ADDON_MODULE(tree_write, init_tree_write);
}  // namespace berth::addon
