// The execs of one container: started, found by id or pid, and followed until their streams have ended.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "container/launch.h"
#include "external/container.h"
#include "monitor/answer.h"
#include "monitor/process_io.h"
#include "monitor/request.h"

namespace berth::monitor {

inline constexpr size_t kMaxExecs = 1024;
/// Ends remembered for a supervisor that was away: what a burst of health checks makes while it restarts.
inline constexpr size_t kExitsKept = 256;

struct Exec {
  std::string id;
  pid_t pid = -1;
  std::unique_ptr<ProcessIo> io;
  ExitStatus status;
  bool reaped = false;     // the pid is not ours any more
  bool announced = false;  // its exit has been told
};

/// How an exec ended, as it is told and remembered.
struct ExecEnd {
  std::string id;
  int exit_code = 0;
  bool failed = false;  // it never ran
};

/// Where execs are started into.
struct ExecTarget {
  pid_t container_pid = -1;
  std::string cgroup_path;
  cgroup::Cgroup* group = nullptr;
  const oci::Spec* spec = nullptr;
  const std::vector<std::string>* groups = nullptr;  // the container's
  external::Container* external = nullptr;           // whose runtime makes them; null: ours
};

class ExecTable {
 public:
  struct Options {
    Loop* loop = nullptr;
    Scratch* scratch = nullptr;
    Budget* budget = nullptr;
    std::function<void(const ExecEnd&)> on_exit;  // called once each, with the output read
  };

  explicit ExecTable(Options options) : options_(std::move(options)) {}

  /// Starts a process. EEXIST: the id is taken; EAGAIN: too many. `exit_code` is 126/127 where the process is at fault.
  Result<Exec*> start(const Request& request, const ExecTarget& target, int& exit_code);
  /// An exec that could not be started: told and remembered as one that has ended.
  void failed(const std::string& id, int exit_code);
  /// Null if there is none that still runs or streams.
  Exec* find(const std::string& id);
  /// True if the pid was an exec's.
  bool reaped(pid_t pid, ExitStatus status);
  /// The container is gone: every exec whose exit is still unknown is told as killed.
  void container_gone();
  void resume_all();
  /// [{"id":…,"pid":…}] of those that run.
  [[nodiscard]] std::string running_json() const;
  /// [{"id":…,"exitCode":…,"failed":true if so}] of the last kExitsKept that have ended, oldest first.
  [[nodiscard]] std::string exits_json() const;

 private:
  void process_gone(Exec& exec);
  void announce(Exec& exec);
  void settle(const std::string& id);
  void ended(ExecEnd end);

  Options options_;
  container::SeccompFilter filter_;
  std::deque<ExecEnd> ends_;
  std::unordered_map<std::string, std::unique_ptr<Exec>> execs_;
  std::unordered_map<pid_t, Exec*> by_pid_;
};

}  // namespace berth::monitor
