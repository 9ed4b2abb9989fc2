#include "monitor/exec_table.h"

#include "container/launch.h"
#include "monitor/connection.h"
#include "monitor/pipes.h"

namespace berth::monitor {

namespace {

constexpr int kCannotRun = 126;
constexpr int kKilled = 128 + 9;

/// 127 for a program, or a working directory, that is not there; else 126.
int exit_code_of(const Error& error) {
  if (error.call == "runtime exec") return external::exit_code_of_text(error.detail);
  const bool missing = error.call == "exec" || error.call == "chdir to cwd";
  return missing ? container::exit_code_of_exec_failure(error) : kCannotRun;
}

}  // namespace

Result<Exec*> ExecTable::start(const Request& request, const ExecTarget& target, int& exit_code) {
  if (execs_.contains(request.id)) return Error{EEXIST, "exec", request.id, "the id is in use"};
  if (execs_.size() >= kMaxExecs) return Error{EAGAIN, "exec", request.id, "too many execs"};
  exit_code = kCannotRun;
  BERTH_ASSIGN(ProcessStreams streams, make_streams(request.process.terminal, request.wants.in));

  container::ExecOptions options;
  options.container_pid = target.container_pid;
  options.cgroup_path = target.cgroup_path;
  options.group = target.group;
  options.filter = &filter_;
  // Its streams are pipes or a terminal, which wait for us: it need not.
  options.at_once = true;
  options.spec = target.spec;
  options.privileged = request.privileged;
  options.user = request.user;
  if (target.groups != nullptr) options.groups = *target.groups;
  options.stdio = std::move(streams.theirs);
  options.rows = request.rows;
  options.cols = request.cols;
  auto launched = target.external != nullptr ? target.external->exec(request.line, request.process, std::move(options))
                                             : container::exec(request.process, std::move(options));
  if (launched.ok()) {
    auto exec = std::make_unique<Exec>();
    exec->id = request.id;
    exec->pid = launched.value()->pid();
    if (request.process.terminal) streams.ours.in = launched.value()->take_terminal();
    exec->io = std::make_unique<ProcessIo>(
        ProcessIo::Options{options_.loop, options_.scratch, options_.budget, nullptr, true, false});
    BERTH_TRY(exec->io->open(std::move(streams.ours)));
    Result<void> released = launched.value()->release();
    if (released.ok()) {
      Exec* const started = exec.get();
      by_pid_[started->pid] = started;
      execs_[started->id] = std::move(exec);
      return started;
    }
    exit_code = exit_code_of(released.error());
    return released.error();
  }
  exit_code = exit_code_of(launched.error());
  return launched.error();
}

Exec* ExecTable::find(const std::string& id) {
  const auto found = execs_.find(id);
  return found == execs_.end() ? nullptr : found->second.get();
}

bool ExecTable::reaped(pid_t pid, ExitStatus status) {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end()) return false;
  Exec& exec = *found->second;
  by_pid_.erase(found);
  exec.status = status;
  process_gone(exec);
  return true;
}

void ExecTable::process_gone(Exec& exec) {
  exec.reaped = true;
  // By id, not by pointer: the two calls come later, in either order, and the second drops the entry.
  exec.io->on_end([this, id = exec.id] { settle(id); });
  exec.io->exited([this, id = exec.id] {
    if (Exec* found = find(id)) announce(*found);
    settle(id);
  });
  if (exec.io->ended()) options_.loop->defer([this, id = exec.id] { settle(id); });
}

void ExecTable::announce(Exec& exec) {
  if (std::exchange(exec.announced, true)) return;
  ended({exec.id, exec.status.exit_code});
}

void ExecTable::failed(const std::string& id, int exit_code) { ended({id, exit_code, true}); }

void ExecTable::ended(ExecEnd end) {
  if (ends_.size() >= kExitsKept) ends_.pop_front();
  options_.on_exit(ends_.emplace_back(std::move(end)));
}

void ExecTable::settle(const std::string& id) {
  Exec* const exec = find(id);
  if (exec == nullptr || !exec->announced || !exec->io->ended()) return;
  for (Connection* client : exec->io->clients()) client->finish();
  auto entry = std::move(execs_[id]);
  execs_.erase(id);
  options_.loop->dispose(std::move(entry));
}

void ExecTable::container_gone() {
  for (auto& [pid, exec] : by_pid_) {
    exec->status = ExitStatus{kKilled, 9};
    process_gone(*exec);
  }
  by_pid_.clear();
  for (auto& [id, exec] : execs_) announce(*exec);
}

void ExecTable::resume_all() {
  for (auto& [id, exec] : execs_) exec->io->resume();
}

std::string ExecTable::running_json() const {
  std::string list = "[";
  for (const auto& [pid, exec] : by_pid_) {
    if (list.size() > 1) list += ',';
    list += JsonLine().text("id", exec->id).number("pid", pid).done();
  }
  return list + "]";
}

std::string ExecTable::exits_json() const {
  std::string list = "[";
  for (const ExecEnd& end : ends_) {
    if (list.size() > 1) list += ',';
    JsonLine line;
    line.text("id", end.id).number("exitCode", end.exit_code);
    if (end.failed) line.boolean("failed", true);
    list += line.done();
  }
  return list + "]";
}

}  // namespace berth::monitor
