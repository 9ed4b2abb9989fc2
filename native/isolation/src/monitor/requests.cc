#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "monitor/monitor.h"
#include "monitor/process_tree.h"
#include "monitor/time_text.h"

namespace berth::monitor {

namespace {

/// Exit code of an exec that was refused (paused, too many): it never came to running anything.
constexpr int kRefused = 126;

}  // namespace

void Monitor::on_request(Connection& connection, std::string_view line) {
  auto request = parse_request(line);
  if (!request.ok()) {
    connection.send_line(error_line(request.error()));
    connection.finish();
    return;
  }
  serve(connection, request.value());
}

void Monitor::serve(Connection& connection, const Request& request) {
  switch (request.operation) {
    case Operation::state:
      return answer(connection, Result<std::string>(state()));
    case Operation::attach:
      return attach(connection, request);
    case Operation::exec:
      return exec(connection, request);
    case Operation::resize:
      return answer(connection, resize(request));
    case Operation::kill:
      return answer(connection, kill(request));
    case Operation::pause:
      return answer(connection, pause());
    case Operation::resume:
      return answer(connection, resume());
    case Operation::update:
      return answer(connection, update(request));
    case Operation::stats:
      return answer(connection, stats());
    case Operation::subscribe:
      return subscribe(connection);
    case Operation::log_shipped:
      if (log_ != nullptr) log_->shipped(request.offset);
      if (io_ != nullptr) io_->resume();
      return answer(connection, Result<void>());
  }
}

void Monitor::answer(Connection& connection, Result<void> result) {
  connection.send_line(result.ok() ? JsonLine().boolean("ok", true).done() : error_line(result.error()));
  connection.finish();
}

void Monitor::answer(Connection& connection, Result<std::string> result) {
  connection.send_line(result.ok() ? result.value() : error_line(result.error()));
  connection.finish();
}

Result<void> Monitor::need_running(const char* what) const {
  if (status_ == Status::running || status_ == Status::paused) return {};
  return Error{ESRCH, what, config_.id, "the container is not running"};
}

std::string Monitor::cgroup_path() const {
  return spec_.linux_.cgroups_path.empty() ? "/berth/" + config_.id : spec_.linux_.cgroups_path;
}

Result<cgroup::Cgroup*> Monitor::need_cgroup() const {
  cgroup::Cgroup* group = launched_ != nullptr ? launched_->cgroup() : nullptr;
  if (group == nullptr) return Error{EOPNOTSUPP, "cgroup", config_.id, "the container has no cgroup"};
  return group;
}

std::string Monitor::state() const {
  constexpr const char* kNames[] = {"created", "running", "paused", "stopped"};
  JsonLine line;
  line.boolean("ok", true).number("pid", pid_).number("monitorPid", getpid()).text("status", kNames[static_cast<int>(status_)]);
  line.text("startedAt", record_.started_ns != 0 ? rfc3339(record_.started_ns) : "");
  return line.raw("execs", execs_.running_json()).raw("exits", execs_.exits_json()).done();
}

Result<std::string> Monitor::stats() {
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  BERTH_ASSIGN(const cgroup::Stats s, group->stats());
  JsonLine line;
  line.boolean("ok", true);
  line.counter("cpu_usage_ns", s.cpu_usage_ns).counter("cpu_user_ns", s.cpu_user_ns);
  line.counter("cpu_system_ns", s.cpu_system_ns).counter("cpu_periods", s.cpu_periods);
  line.counter("cpu_throttled_periods", s.cpu_throttled_periods).counter("cpu_throttled_ns", s.cpu_throttled_ns);
  line.counter("memory_usage", s.memory_usage).counter("memory_limit", s.memory_limit);
  line.counter("memory_max_usage", s.memory_max_usage).counter("memory_cache", s.memory_cache);
  line.counter("memory_inactive_file", s.memory_inactive_file).counter("oom_kills", s.oom_kills);
  line.counter("pids_current", s.pids_current).counter("pids_limit", s.pids_limit);
  line.counter("io_read_bytes", s.io_read_bytes).counter("io_write_bytes", s.io_write_bytes);
  line.counter("io_reads", s.io_reads).counter("io_writes", s.io_writes).counter("memory_failures", s.memory_failures);
  line.number("memory_version", s.memory_version).number("io_version", s.io_version);
  line.raw("cpu_per_cpu_ns", list_json(s.cpu_per_cpu_ns)).raw("memory_details", details_json(s.memory_details));
  return line.raw("io_bytes", io_json(s.io_bytes)).raw("io_operations", io_json(s.io_operations)).done();
}

void Monitor::attach(Connection& connection, const Request& request) {
  ProcessIo* io = io_.get();
  if (request.exec) {
    Exec* const exec = execs_.find(*request.exec);
    io = exec != nullptr && !exec->io->ended() ? exec->io.get() : nullptr;
    if (io == nullptr) return answer(connection, Result<void>(Error{ENOENT, "attach", *request.exec, "no such exec"}));
  } else if (concluded_) {
    return answer(connection, need_running("attach"));
  }
  const bool replay = request.replay && !request.exec && log_ != nullptr;
  JsonLine line;
  line.boolean("ok", true);
  if (replay) line.raw("log", log_->position_json());
  connection.send_line(line.done());
  connection.start_stream(io, request.wants);
  // Beginnings of lines that the log does not have yet: with them log and stream are one text without gap or double.
  for (int stream = 1; replay && stream <= 2; stream++)
    if (const std::string& pending = log_->pending(stream); !pending.empty()) io->send_to(connection, stream, pending);
}

void Monitor::exec(Connection& connection, const Request& request) {
  int exit_code = -1;
  auto start = [&]() -> Result<Exec*> {
    BERTH_TRY(need_running("exec"));
    // A process put into a frozen cgroup stops at once, and with it this monitor, which waits for its execve.
    if (status_ == Status::paused) return Error{EBUSY, "exec", request.id, "the container is paused"};
    return execs_.start(request, ExecTarget{pid_, cgroup_path(), launched_->cgroup(), &spec_, &config_.groups, external_.get()}, exit_code);
  };
  Result<Exec*> started = start();
  if (!started.ok()) {
    // Told before the answer: who asks the supervisor for the code because of the answer finds it there. Not of an id that is
    // in use: that exec is another one, and runs.
    if (execs_.find(request.id) == nullptr && !concluded_) execs_.failed(request.id, exit_code < 0 ? kRefused : exit_code);
    connection.send_line(error_line(started.error(), exit_code));
    connection.finish();
    return;
  }
  const Exec& exec = **started;
  connection.send_line(JsonLine().boolean("ok", true).number("pid", exec.pid).done());
  publish(JsonLine().text("event", "exec-start").text("exec", exec.id).number("pid", exec.pid).done());
  if (request.attached)
    connection.start_stream(exec.io.get(), request.wants);
  else
    connection.finish();
}

void Monitor::subscribe(Connection& connection) {
  connection.send_line(state());
  connection.start_events();
  if (concluded_) {
    connection.send_line(exit_record_json(record_, true));
    connection.finish();
    return;
  }
  subscribers_.push_back(&connection);
}

Result<void> Monitor::resize(const Request& request) {
  if (!request.exec) {
    BERTH_TRY(need_running("resize"));
    return io_->resize(request.rows, request.cols);
  }
  Exec* const exec = execs_.find(*request.exec);
  if (exec == nullptr) return Error{ENOENT, "resize", *request.exec, "no such exec"};
  return exec->io->resize(request.rows, request.cols);
}

Result<void> Monitor::kill(const Request& request) {
  pid_t pid = pid_;
  if (request.exec) {
    const Exec* const exec = execs_.find(*request.exec);
    if (exec == nullptr || exec->reaped) return Error{ESRCH, "kill", *request.exec, "the exec has ended"};
    pid = exec->pid;
    if (request.tree) return kill_tree(pid);
  } else {
    BERTH_TRY(need_running("kill"));
    if (request.all) return signal_all(request.signal);
  }
  // The process is our child and has not been waited for, so the number is still its own.
  if (external_ != nullptr && !request.exec) BERTH_TRY(external_->kill(pid, request.signal));
  else if (::kill(pid, request.signal) != 0) return sys_error("kill", std::to_string(pid));
  // A frozen process (cgroup v1) dies of it only when it runs again, and who kills wants it dead.
  if (request.signal == SIGKILL && status_ == Status::paused && !request.exec) return resume();
  return {};
}

Result<void> Monitor::signal_all(int signal) {
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  if (signal == SIGKILL) return group->kill_all();
  BERTH_ASSIGN(const std::vector<pid_t> pids, group->processes());
  for (pid_t pid : pids)
    if (::kill(pid, signal) != 0 && errno != ESRCH) return sys_error("kill", std::to_string(pid));
  return {};
}

Result<void> Monitor::kill_tree(pid_t root) {
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  return kill_process_tree(root, [group] { return group->processes(); });
}

Result<void> Monitor::pause() {
  BERTH_TRY(need_running("pause"));
  if (status_ == Status::paused) return Error{EALREADY, "pause", config_.id, "the container is paused already"};
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  BERTH_TRY(group->freeze());
  status_ = Status::paused;
  return {};
}

Result<void> Monitor::resume() {
  BERTH_TRY(need_running("resume"));
  if (status_ != Status::paused) return Error{EALREADY, "resume", config_.id, "the container is not paused"};
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  BERTH_TRY(group->thaw());
  status_ = Status::running;
  return {};
}

Result<void> Monitor::update(const Request& request) {
  BERTH_TRY(need_running("update"));
  BERTH_ASSIGN(cgroup::Cgroup * group, need_cgroup());
  return group->apply(request.resources);
}

}  // namespace berth::monitor
