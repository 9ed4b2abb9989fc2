#include "external/container.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "base/clone.h"
#include "base/file.h"
#include "external/bundle.h"
#include "external/console.h"

namespace berth::external {

namespace {

/// With the deletion that may follow less than the two minutes that the supervisor waits for a start: it is told why.
constexpr int64_t kCreateMs = 80'000;
/// Less than the 30 s that the supervisor waits for an answer.
constexpr int64_t kOtherMs = 20'000;

Call call_of(std::vector<std::string> words) {
  Call call;
  call.words = std::move(words);
  call.timeout_ms = kOtherMs;
  return call;
}

Streams streams_of(const container::Stdio& stdio) { return {stdio.in.get(), stdio.out.get(), stdio.err.get()}; }

/// Once: a later call that writes none must not find this one's.
Result<pid_t> take_pid(const std::string& path) {
  BERTH_ASSIGN(const std::string text, read_file(path, 64));
  ::unlink(path.c_str());
  const long pid = std::strtol(text.c_str(), nullptr, 10);
  if (pid <= 1) return Error{EPROTO, "runtime", path, "no process id in the pid file"};
  return static_cast<pid_t>(pid);
}

/// `console` must outlive the call.
void give_console(Call& call, ConsoleSocket& console, uint16_t rows, uint16_t cols) {
  call.words.insert(call.words.end(), {"--console-socket", console.path()});
  call.watched = console.fd();
  call.on_readable = [&console, rows, cols] { console.receive(rows, cols); };
}

/// A process that a call has made and then failed (or was killed for taking too long): nobody would know of it.
void end_orphan(const std::string& pid_file) {
  auto pid = take_pid(pid_file);
  siginfo_t info{};
  // Ours, so the number is still its own.
  if (pid && ::waitid(P_PID, static_cast<id_t>(*pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) ::kill(*pid, SIGKILL);
}

UniqueFd pidfd_of(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

}  // namespace

/// The container's first process, or an exec (without a container of its own: it runs already).
class CreatedProcess final : public container::Launched {
 public:
  CreatedProcess(Container* container, pid_t pid, std::unique_ptr<cgroup::Cgroup> group)
      : container_(container), pid_(pid), pidfd_(pidfd_of(pid)), group_(std::move(group)) {}

  ~CreatedProcess() override {
    if (released_) return;
    if (container_ != nullptr) container_->remove();
    ::kill(pid_, SIGKILL);
    wait_for(pid_);
    if (group_) (void)group_->kill_all(), (void)group_->remove();
  }

  pid_t pid() const override { return pid_; }
  int pidfd() const override { return pidfd_.get(); }
  UniqueFd take_terminal() override { return std::move(terminal_); }
  cgroup::Cgroup* cgroup() override { return group_.get(); }
  void set_terminal(UniqueFd terminal) { terminal_ = std::move(terminal); }
  void detach() override { released_ = true; }

  Result<void> release() override {
    if (container_ != nullptr) BERTH_TRY(container_->start());
    released_ = true;
    return {};
  }

 private:
  Container* container_;
  pid_t pid_;
  UniqueFd pidfd_, terminal_;
  std::unique_ptr<cgroup::Cgroup> group_;
  bool released_ = false;
};

Result<void> Container::call(const char* what, Call call) {
  call.log = log();
  auto done = external::call(runtime_, call);
  if (done || done.error().call != "runtime") return done;
  Error error = done.error();
  error.call = std::string("runtime ") + what;
  error.object.clear();
  return error;
}

bool Container::known() const {
  struct stat info;
  return ::stat((runtime_.root + "/" + id_).c_str(), &info) == 0;
}

Result<std::unique_ptr<container::Launched>> Container::create(const oci::Spec& spec, container::LaunchOptions options) {
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) return sys_error("mkdir", directory_);
  BERTH_TRY(make_directories(runtime_.root, 0700));
  // What a monitor that was killed has left.
  if (known()) remove();
  asked_ = true;
  const std::string pid_file = directory_ + "/pid";
  std::optional<ConsoleSocket> console;
  Call create = call_of({"create", "--bundle", directory_, "--pid-file", pid_file});
  create.streams = streams_of(options.stdio);
  create.timeout_ms = kCreateMs;
  if (spec.process && spec.process->terminal) {
    BERTH_ASSIGN(console, ConsoleSocket::open(directory_));
    give_console(create, *console, options.rows, options.cols);
  }
  create.words.push_back(id_);
  create.oom_score_adj = spec.process ? spec.process->oom_score_adj.value_or(0) : 0;
  create.prepare = [&] { return write_bundle(spec, options, directory_); };
  auto made = call("create", std::move(create));
  const auto give_up = [&](const Error& error) -> Error {
    remove();
    if (auto group = cgroup::open(options.cgroup_path)) (void)(*group)->kill_all(), (void)(*group)->remove();
    return error;
  };
  if (!made) return give_up(made.error());
  auto pid = take_pid(pid_file);
  if (!pid) return give_up(pid.error());
  auto group = cgroup::open(options.cgroup_path);
  if (!group) return give_up(group.error());
  auto launched = std::make_unique<CreatedProcess>(this, *pid, std::move(*group));
  if (console) {
    BERTH_ASSIGN(UniqueFd terminal, console->take());
    launched->set_terminal(std::move(terminal));
  }
  return std::unique_ptr<container::Launched>(std::move(launched));
}

Result<void> Container::start() { return call("start", call_of({"start", id_})); }

Result<std::unique_ptr<container::Launched>> Container::exec(std::string_view request, const oci::Process& process,
                                                             container::ExecOptions options) {
  const std::string file = directory_ + "/process.json", pid_file = directory_ + "/exec-pid";
  Call exec = call_of({"exec", "--process", file, "--detach", "--pid-file", pid_file});
  exec.streams = streams_of(options.stdio);
  std::optional<ConsoleSocket> console;
  if (process.terminal) {
    BERTH_ASSIGN(console, ConsoleSocket::open(directory_));
    give_console(exec, *console, options.rows, options.cols);
  }
  exec.words.push_back(id_);
  exec.oom_score_adj = process.oom_score_adj.value_or(0);
  exec.prepare = [&] { return write_process(request, process, options, file); };
  if (auto done = call("exec", std::move(exec)); !done) {
    end_orphan(pid_file);
    return done.error();
  }
  BERTH_ASSIGN(const pid_t pid, take_pid(pid_file));
  auto launched = std::make_unique<CreatedProcess>(nullptr, pid, nullptr);
  if (console) {
    BERTH_ASSIGN(UniqueFd terminal, console->take());
    launched->set_terminal(std::move(terminal));
  }
  return std::unique_ptr<container::Launched>(std::move(launched));
}

Result<void> Container::kill(pid_t pid, int signal) {
  if (call("kill", call_of({"kill", id_, std::to_string(signal)}))) return {};
  if (::kill(pid, signal) != 0) return sys_error("kill", std::to_string(pid));
  return {};
}

void Container::remove() {
  if (!asked_ && !known()) return;
  // What it can't take away is swept by the supervisor, which runs it again.
  (void)call("delete", call_of({"delete", "--force", id_}));
}

}  // namespace berth::external
