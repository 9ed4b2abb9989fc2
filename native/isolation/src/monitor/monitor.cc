#include "monitor/monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/file.h"
#include "container/hooks.h"
#include "monitor/idle_memory.h"
#include "monitor/pipes.h"
#include "monitor/time_text.h"

namespace berth::monitor {

namespace {

/// Exit code of a container that could not be made (Docker's).
constexpr int kNotCreated = 128;
/// After the exit, a client that takes nothing for this long loses the rest of its stream.
constexpr int64_t kStuckMs = 10000;

ExitStatus status_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, 0};
  return {128 + info.si_status, info.si_status};
}

/// Whose fault it is that the container does not run. What another runtime has said is told as it is.
StartFailure failure_of(const Error& error) {
  if (error.call == "exec") return {"exec", container::exit_code_of_exec_failure(error), error};
  if (error.call.starts_with("runtime "))
    return {error.call == "runtime start" ? "runtime-start" : "runtime-create", external::exit_code_of_text(error.detail),
            Error{0, "", "", error.detail}};
  return {error.call == "config" ? "config" : "create", kNotCreated, error};
}

/// Over the limit: an answer, and no ECONNRESET in place of it because of a request that nobody has read.
void turn_away(int client) {
  const std::string line =
      error_line(Error{EAGAIN, "accept", "", "at most " + std::to_string(kMaxConnections) + " connections"}) + "\n";
  (void)send(client, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(client, SHUT_RDWR);
  char unread[4096];
  for (int i = 0; i < 64 && recv(client, unread, sizeof unread, MSG_DONTWAIT) > 0; i++) {
  }
}

}  // namespace

Monitor::Monitor(Config config, oci::Spec spec, std::string bundle, UniqueFd listener, UniqueFd report)
    : config_(std::move(config)),
      spec_(std::move(spec)),
      bundle_(std::move(bundle)),
      listener_(std::move(listener)),
      report_(std::move(report)),
      execs_({&loop_, &scratch_, &budget_, [this](const ExecEnd& end) {
                JsonLine line;
                line.text("event", "exec-exit").text("exec", end.id).number("exitCode", end.exit_code);
                if (end.failed) line.boolean("failed", true);
                publish(line.done());
              }}) {
  context_.loop = &loop_;
  context_.scratch = &scratch_;
  context_.owner = this;
}

int Monitor::run() {
  std::optional<StartFailure> failure;
  if (Result<void> prepared = prepare(); !prepared.ok()) failure = StartFailure{"create", kNotCreated, prepared.error()};
  if (!failure) failure = create();
  if (!failure) {
    accept_all();
    failure = release();
  }
  if (failure) {
    start_failed(*failure);
  } else {
    report_line(JsonLine()
                    .text("event", "started")
                    .number("pid", pid_)
                    .number("monitorPid", getpid())
                    .text("startedAt", rfc3339(record_.started_ns))
                    .done());
    watch_oom();
    scratch_.read_area();  // starts the clock after which memory goes back
  }
  loop_.run();
  return 0;
}

Result<void> Monitor::prepare() {
  BERTH_TRY(loop_.open());
  BERTH_TRY(scratch_.open(&loop_));
  scratch_.on_idle([this] {
    if (log_ != nullptr) log_->trim();
    release_idle_memory();
  });
  budget_.on_release([this] {
    loop_.defer([this] {
      if (io_ != nullptr) io_->resume();
      execs_.resume_all();
    });
  });
  BERTH_TRY(watch_signals());
  fcntl(listener_.get(), F_SETFL, fcntl(listener_.get(), F_GETFL) | O_NONBLOCK);
  listener_watch_.bind(&loop_, listener_.get(), [this](uint32_t) { accept_all(); });
  if (!listener_watch_.watch(EPOLLIN)) return sys_error("epoll_ctl", "listening socket");
  if (config_.log) {
    log_ = std::make_unique<LogWriter>(*config_.log, &scratch_);
    BERTH_TRY(log_->open());
  }
  return {};
}

Result<void> Monitor::watch_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  signals_.reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!signals_) return sys_error("signalfd");
  signal_watch_.bind(&loop_, signals_.get(), [this](uint32_t) { reap(); });
  if (!signal_watch_.watch(EPOLLIN)) return sys_error("epoll_ctl", "signalfd");
  return {};
}

std::optional<StartFailure> Monitor::create() {
  if (!spec_.process) return StartFailure{"config", kNotCreated, bad_input("process", "an object")};
  const bool terminal = spec_.process->terminal;
  if (config_.runtime)
    external_ = std::make_unique<external::Container>(std::move(*config_.runtime), config_.id, bundle_ + "/oci");
  // Not this process's own, whatever that is: the one that Docker's containers start with.
  if (!spec_.process->user.umask) spec_.process->user.umask = 022;
  auto made = [&]() -> Result<void> {
    BERTH_ASSIGN(ProcessStreams streams, make_streams(terminal, config_.stdin_open));
    container::LaunchOptions options;
    options.id = config_.id;
    options.bundle = bundle_;
    options.rootfs_mounts = std::move(config_.rootfs_mounts);
    options.staged_mounts = std::move(config_.staged_mounts);
    options.user = config_.user;
    options.groups = config_.groups;
    options.run_hooks = true;
    options.cgroup_path = cgroup_path();
    options.stdio = std::move(streams.theirs);
    options.rows = config_.rows;
    options.cols = config_.cols;
    auto launched =
        external_ != nullptr ? external_->create(spec_, std::move(options)) : container::launch(spec_, std::move(options));
    BERTH_ASSIGN(launched_, std::move(launched));
    pid_ = launched_->pid();
    if (terminal) streams.ours.in = launched_->take_terminal();
    io_ = std::make_unique<ProcessIo>(
        ProcessIo::Options{&loop_, &scratch_, &budget_, log_.get(), config_.stdin_once, true});
    return io_->open(std::move(streams.ours));
  }();
  if (made.ok()) return std::nullopt;
  return failure_of(made.error());
}

std::optional<StartFailure> Monitor::release() {
  Result<void> released = launched_->release();
  if (released.ok()) {
    record_.started_ns = realtime_ns();
    status_ = Status::running;
    // The runtime-spec: what runs runs on, whatever these say.
    if (external_ == nullptr) (void)container::run_hooks(spec_.hooks.poststart, hook_state("running"), "poststart", bundle_);
    return std::nullopt;
  }
  return failure_of(released.error());
}

std::string Monitor::hook_state(const char* status) const {
  return container::state_json(spec_, config_.id, bundle_, status, status_ == Status::stopped ? 0 : pid_);
}

void Monitor::report_line(const std::string& line) {
  // The reader may have gone: then nobody is told, and that is all.
  (void)write_all(report_.get(), line + "\n", "report");
  report_.reset();
}

void Monitor::start_failed(const StartFailure& failure) {
  status_ = Status::stopped;
  concluded_ = true;
  record_.status.exit_code = failure.exit_code;
  record_.finished_ns = realtime_ns();
  record_.error = failure.error.message();
  if (io_ != nullptr) io_->exited([] {});
  launched_.reset();  // ends the stopped process and gives the cgroup back
  (void)write_exit_record(config_.exit_file, record_);
  report_line(JsonLine()
                  .text("event", "failed")
                  .number("exitCode", failure.exit_code)
                  .text("phase", failure.phase)
                  .text("message", record_.error)
                  .done());
  close_down();
}

// ---- running

void Monitor::accept_all() {
  while (listener_) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!client) return;
    if (connections_.size() >= kMaxConnections) {
      turn_away(client.get());
      continue;
    }
    auto owned = std::make_unique<Connection>(&context_, std::move(client));
    Connection* const connection = owned.get();
    connections_.emplace(connection, std::move(owned));
    if (!connection->start()) connection->finish();
  }
}

void Monitor::on_closed(Connection& connection) {
  std::erase(subscribers_, &connection);
  auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  loop_.dispose(std::move(found->second));
  connections_.erase(found);
  stop_when_alone();
}

void Monitor::publish(const std::string& line) {
  // A copy: a subscriber that is broken leaves the list.
  for (Connection* subscriber : std::vector<Connection*>(subscribers_)) subscriber->send_line(line);
}

void Monitor::watch_oom() {
  cgroup::Cgroup* const group = launched_->cgroup();
  if (group == nullptr) return;
  auto fd = group->oom_fd();
  if (!fd.ok() || !fd.value().valid()) return;  // no memory controller: no such events
  oom_ = std::move(fd.value());
  fcntl(oom_.get(), F_SETFL, fcntl(oom_.get(), F_GETFL) | O_NONBLOCK);
  oom_watch_.bind(&loop_, oom_.get(), [this](uint32_t) { oom_ready(); });
  oom_watch_.watch(EPOLLIN);
}

void Monitor::oom_ready() {
  // Both kinds of descriptor only say that something has changed; the counter says what.
  char events[4096];
  if (::read(oom_.get(), events, sizeof events) <= 0 && errno != EAGAIN) oom_watch_.off();
  cgroup::Cgroup* const group = launched_->cgroup();
  const uint64_t kills = group->oom_kills();
  const bool killed = kills > oom_kills_;
  oom_kills_ = std::max(kills, oom_kills_);
  if (killed || group->waits_for_memory()) publish(JsonLine().text("event", "oom").done());
}

// ---- the end

void Monitor::reap() {
  // Pending signals of one kind are one; what has ended is asked of waitid.
  signalfd_siginfo ignored;
  (void)!::read(signals_.get(), &ignored, sizeof ignored);
  while (true) {
    siginfo_t info{};
    // Everybody: as a subreaper this process also inherits what a container without its own pid namespace orphans.
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    if (info.si_pid == pid_ && status_ != Status::stopped)
      container_exited(status_of(info));
    else if (log_ == nullptr || !log_->reaped(info.si_pid, info.si_code == CLD_EXITED && info.si_status == 0))
      execs_.reaped(info.si_pid, status_of(info));
  }
}

void Monitor::container_exited(ExitStatus status) {
  status_ = Status::stopped;
  record_.status = status;
  record_.finished_ns = realtime_ns();
  end_leftovers();
  io_->exited([this] { conclude(); });
}

void Monitor::end_leftovers() {
  // With the first process of a pid namespace the kernel ends the others. In a shared one they outlive it, and would
  // hold pipes and cgroup.
  const oci::Namespace* const pid = oci::find_namespace(spec_, oci::NamespaceType::pid);
  cgroup::Cgroup* const group = launched_->cgroup();
  if (group == nullptr || (pid != nullptr && pid->path.empty())) return;
  const auto left = group->processes();
  if (left.ok() && !left.value().empty()) (void)group->kill_all();
}

bool Monitor::was_oom_killed() {
  cgroup::Cgroup* const group = launched_->cgroup();
  if (group == nullptr) return false;
  // The counters are dozens of files. Without a notification only a kill just before oom_ was opened can have been
  // missed, and that is one by SIGKILL.
  pollfd notified{oom_.get(), POLLIN, 0};
  if (oom_ && oom_kills_ == 0 && record_.status.exit_code != 128 + SIGKILL && poll(&notified, 1, 0) == 0) return false;
  const auto stats = group->stats();
  if (!stats.ok()) return oom_kills_ > 0;
  if (stats.value().oom_kills > oom_kills_) publish(JsonLine().text("event", "oom").done());
  return stats.value().oom_kills > 0;
}

void Monitor::conclude() {
  if (concluded_) return;
  concluded_ = true;
  oom_watch_.off();
  record_.oom_killed = was_oom_killed();
  if (Result<void> written = write_exit_record(config_.exit_file, record_); !written.ok())
    record_.error = "exit record: " + written.error().message();
  if (external_ != nullptr) external_->remove();
  if (cgroup::Cgroup* const group = launched_->cgroup()) (void)group->remove();
  if (external_ == nullptr) (void)container::run_hooks(spec_.hooks.poststop, hook_state("stopped"), "poststop", bundle_);
  execs_.container_gone();
  publish(exit_record_json(record_, true));
  close_down();
}

void Monitor::close_down() {
  // Whoever connected in time still gets an answer; the socket itself is the supervisor's to remove.
  accept_all();
  listener_watch_.off();
  listener_.reset();
  std::vector<Connection*> open;
  for (auto& [connection, owned] : connections_) open.push_back(connection);
  for (Connection* connection : open) {
    connection->close_if_stuck(kStuckMs);
    connection->end_unless_exec(io_.get());
  }
  stop_when_alone();
}

void Monitor::stop_when_alone() {
  if (concluded_ && !listener_ && connections_.empty()) loop_.stop();
}

}  // namespace berth::monitor
