// Binding: class LogSend, a log's files on their way to a client's own connection.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "addon/addon.h"
#include "addon/job.h"
#include "addon/opening.h"
#include "logs/format.h"
#include "stream/handover.h"
#include "stream/http_output.h"
#include "tar/inflate.h"

namespace berth::addon {
namespace {

constexpr size_t kRead = 256 * 1024;
/// Bytes of output that make a chunk.
constexpr size_t kChunk = 128 * 1024;
/// Docker's own bound for the number of files, and far more than anybody has.
constexpr uint32_t kMaxFiles = 10'000;

struct LogPart {
  UniqueFd fd;
  bool compressed = false;
  uint64_t from = 0;    // offset in the plain file
  uint64_t length = 0;  // bytes from there
};

/// A part's bytes, plain.
class PartReader {
 public:
  explicit PartReader(LogPart& part) : part_(part), left_(part.length) {
    if (!part.compressed) return;
    source_.emplace(std::move(part.fd));
    inflate_.emplace(*source_, false);
  }

  /// 0 at the end.
  Result<size_t> read(std::span<uint8_t> into) {
    if (inflate_) {
      while (skipped_ < part_.from) {
        BERTH_ASSIGN(const size_t count, inflate_->read(into.first(std::min<uint64_t>(into.size(), part_.from - skipped_))));
        if (count == 0) return size_t{0};
        skipped_ += count;
      }
      return inflate_->read(into);
    }
    for (;;) {
      const size_t wanted = std::min<uint64_t>(into.size(), left_);
      const ssize_t count = ::pread(part_.fd.get(), into.data(), wanted, static_cast<off_t>(part_.from));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return sys_error("pread", "log");
      part_.from += static_cast<uint64_t>(count);
      left_ -= static_cast<uint64_t>(count);
      return static_cast<size_t>(count);
    }
  }

 private:
  LogPart& part_;
  uint64_t left_, skipped_ = 0;
  std::optional<tar::FileSource> source_;
  std::optional<tar::Inflate> inflate_;
};

/// Shared by the JavaScript object and the running job.
struct SendState {
  explicit SendState(stream::Interrupt made) : interrupt(std::move(made)) {}

  logs::FormatOptions format;
  std::vector<LogPart> parts;
  std::string inbox;
  stream::Interrupt interrupt;
  Result<void> result;
  Opening opening;  // JavaScript thread only

  Result<void> run(Job& job) {
    BERTH_ASSIGN(stream::Inbox clients, stream::Inbox::open(inbox));
    job.post([this](Napi::Env) { opening.tell(true); });
    BERTH_ASSIGN(const stream::Connection client, clients.take(interrupt, stream::kHandoverTimeout));
    stream::HttpOutput output(client.fd.get(), interrupt);
    logs::Formatter formatter(format);
    std::string formatted;
    formatted.reserve(kChunk + 64 * 1024);
    for (LogPart& part : parts) {
      BERTH_TRY(send(part, formatter, formatted, output));
      if (formatter.past()) break;
    }
    return flush(formatted, output);
  }

  static Result<void> flush(std::string& formatted, stream::HttpOutput& output) {
    BERTH_TRY(output.write({reinterpret_cast<const uint8_t*>(formatted.data()), formatted.size()}));
    formatted.clear();
    return {};
  }

  /// A record never goes on in another file: what is left of one is torn.
  Result<void> send(LogPart& part, logs::Formatter& formatter, std::string& formatted, stream::HttpOutput& output) const {
    PartReader reader(part);
    std::vector<uint8_t> buffer(kRead);
    for (size_t carried = 0;;) {
      // A record that is longer than what has been read so far.
      if (buffer.size() < carried + kRead / 2) buffer.resize(carried + kRead);
      BERTH_ASSIGN(const size_t count, reader.read(std::span(buffer).subspan(carried)));
      if (count == 0) return {};
      std::string_view bytes(reinterpret_cast<const char*>(buffer.data()), carried + count);
      int64_t size;
      while ((size = logs::record_size(bytes, format.compact)) > 0) {
        formatter.add(bytes.substr(0, static_cast<size_t>(size)), formatted);
        bytes.remove_prefix(static_cast<size_t>(size));
        if (formatted.size() >= kChunk) BERTH_TRY(flush(formatted, output));
        if (formatter.past()) return {};
      }
      if (size < 0) bytes = {};
      carried = bytes.size();
      std::copy(bytes.begin(), bytes.end(), buffer.begin());
    }
  }
};

/// new LogSend({ files: [{ fd, compressed, from, length }], compact, stdout, stderr, timestamps, details, framed, since, until, inbox });
/// start(): { opened: Promise<boolean>, done: Promise<void> }; abort(). The descriptors stay the caller's; times are "" for none.
class LogSend final : public Napi::ObjectWrap<LogSend> {
 public:
  static void init(Napi::Env env, Napi::Object exports) {
    exports.Set("LogSend", DefineClass(env, "LogSend", {InstanceMethod<&LogSend::start>("start"), InstanceMethod<&LogSend::abort>("abort")}));
  }

  explicit LogSend(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LogSend>(info) {
    auto interrupt = stream::Interrupt::create();
    if (!interrupt.ok()) {
      to_js_error(info.Env(), interrupt.error()).ThrowAsJavaScriptException();
      return;
    }
    state_ = std::make_shared<SendState>(std::move(interrupt).value());
    Args args(info.Env(), info[0], "options");
    logs::FormatOptions& format = state_->format;
    format.compact = args.boolean("compact");
    format.out = args.boolean("stdout");
    format.err = args.boolean("stderr");
    format.timestamps = args.boolean("timestamps");
    format.details = args.boolean("details");
    format.framed = args.boolean("framed");
    format.since = args.string("since");
    format.until = args.string("until");
    state_->inbox = args.string("inbox");
    read_files(info.Env(), args);
    if (!args.ok()) args.fail();
  }
  ~LogSend() override {
    if (state_) state_->interrupt.call_off();
  }

 private:
  void read_files(Napi::Env env, Args& args) {
    const Napi::Value list = args.raw("files");
    if (!args.ok()) return;
    if (!list.IsArray() || list.As<Napi::Array>().Length() > kMaxFiles) return args.reject("options.files must be an array");
    for (uint32_t i = 0; i < list.As<Napi::Array>().Length() && args.ok(); ++i) {
      constexpr int64_t kMost = 9'007'199'254'740'991;  // whole in a double
      Args file(env, list.As<Napi::Array>().Get(i), "options.files[" + std::to_string(i) + "]");
      const int fd = file.fd("fd");
      LogPart part;
      part.compressed = file.boolean("compressed");
      part.from = static_cast<uint64_t>(file.integer("from", 0, kMost));
      part.length = static_cast<uint64_t>(file.integer("length", 0, kMost));
      if (!file.ok()) return args.reject(file.mistake());
      part.fd.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!part.fd) return args.reject("options.files names a descriptor that is not open");
      state_->parts.push_back(std::move(part));
    }
  }

  Napi::Value start(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    if (!state_ || std::exchange(started_, true)) {
      Napi::TypeError::New(env, "start may be called once").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    const Napi::Object promises = state_->opening.begin(env, deferred.Promise());
    const auto state = state_;
    Job::start(
        env, "berth log send", [state](Job& job) { state->result = state->run(job); },
        [state, deferred](Napi::Env js) {
          state->parts.clear();
          state->opening.tell(false);
          if (!state->result.ok()) return deferred.Reject(to_js_error(js, state->result.error()).Value());
          deferred.Resolve(js.Undefined());
        },
        [state] { state->interrupt.call_off(); });
    return promises;
  }

  Napi::Value abort(const Napi::CallbackInfo& info) {
    if (state_) state_->interrupt.call_off();
    return info.Env().Undefined();
  }

  std::shared_ptr<SendState> state_;
  bool started_ = false;
};

void init_log(Napi::Env env, Napi::Object exports) { LogSend::init(env, exports); }

}  // namespace
BERTH_ADDON_MODULE(log, init_log);
}  // namespace berth::addon
