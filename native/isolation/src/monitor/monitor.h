// One container's monitor: start, requests, exit. See PROTOCOL.md; the order of the last steps is part of the contract.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"
#include "container/launch.h"
#include "external/container.h"
#include "monitor/answer.h"
#include "monitor/config.h"
#include "monitor/connection.h"
#include "monitor/exec_table.h"
#include "monitor/log_writer.h"
#include "monitor/process_io.h"
#include "monitor/request.h"
#include "oci/spec.h"

namespace berth::monitor {

inline constexpr size_t kMaxConnections = 1024;

/// A start that failed, as it is reported.
struct StartFailure {
  std::string phase;  // "config", "create" or "exec"
  int exit_code = 128;
  Error error;
};

class Monitor final : public ConnectionOwner {
 public:
  Monitor(Config config, oci::Spec spec, std::string bundle, UniqueFd listener, UniqueFd report);

  /// Starts the container and serves until it is gone and everybody has been told. The process's exit code.
  int run();

  void on_request(Connection& connection, std::string_view line) override;
  void on_closed(Connection& connection) override;

 private:
  enum class Status { created, running, paused, stopped };

  // monitor.cc: the life of the container
  Result<void> prepare();
  std::optional<StartFailure> create();
  std::optional<StartFailure> release();
  Result<void> watch_signals();
  void watch_oom();
  [[nodiscard]] std::string hook_state(const char* status) const;
  void report_line(const std::string& line);
  void start_failed(const StartFailure& failure);
  void reap();
  void container_exited(ExitStatus status);
  void end_leftovers();
  bool was_oom_killed();
  void conclude();
  void close_down();
  void stop_when_alone();
  void oom_ready();
  void accept_all();
  void publish(const std::string& line);

  // requests.cc: what clients ask for
  void serve(Connection& connection, const Request& request);
  void attach(Connection& connection, const Request& request);
  void exec(Connection& connection, const Request& request);
  void subscribe(Connection& connection);
  [[nodiscard]] std::string state() const;
  Result<std::string> stats();
  Result<void> resize(const Request& request);
  Result<void> kill(const Request& request);
  Result<void> kill_tree(pid_t root);
  Result<void> signal_all(int signal);
  Result<void> pause();
  Result<void> resume();
  Result<void> update(const Request& request);
  [[nodiscard]] std::string cgroup_path() const;
  Result<void> need_running(const char* what) const;
  Result<cgroup::Cgroup*> need_cgroup() const;
  void answer(Connection& connection, Result<void> result);
  void answer(Connection& connection, Result<std::string> result);

  Config config_;
  oci::Spec spec_;
  std::string bundle_;
  UniqueFd listener_, report_, signals_, oom_;
  Loop loop_;
  Scratch scratch_;
  Budget budget_;
  ConnectionContext context_;
  Watch listener_watch_, signal_watch_, oom_watch_;
  std::unique_ptr<LogWriter> log_;
  std::unique_ptr<external::Container> external_;  // null: our own runtime makes the processes
  std::unique_ptr<container::Launched> launched_;
  std::unique_ptr<ProcessIo> io_;
  ExecTable execs_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> subscribers_;
  Status status_ = Status::created;
  pid_t pid_ = -1;
  ExitRecord record_;
  uint64_t oom_kills_ = 0;
  bool concluded_ = false;
};

}  // namespace berth::monitor
