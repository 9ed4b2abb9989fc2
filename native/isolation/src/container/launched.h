// The parent's side of a process that launch() or exec() has made.
#pragma once

#include "container/launch.h"
#include "container/sync.h"

namespace berth::container {

class LaunchedProcess final : public Launched {
 public:
  LaunchedProcess(pid_t pid, UniqueFd pidfd, Sync sync, std::unique_ptr<cgroup::Cgroup> cgroup)
      : pid_(pid), pidfd_(std::move(pidfd)), sync_(std::move(sync)), cgroup_(std::move(cgroup)) {}
  /// Kills and reaps what was never released.
  ~LaunchedProcess() override;

  pid_t pid() const override { return pid_; }
  int pidfd() const override { return pidfd_.get(); }
  UniqueFd take_terminal() override { return std::move(terminal_); }
  cgroup::Cgroup* cgroup() override { return cgroup_.get(); }
  Result<void> release() override;
  /// The word that release() says, said already.
  Result<void> let_go();
  void detach() override { released_ = true; }

  Sync& sync() { return sync_; }
  void set_terminal(UniqueFd fd) { terminal_ = std::move(fd); }

 private:
  pid_t pid_;
  UniqueFd pidfd_;
  Sync sync_;
  std::unique_ptr<cgroup::Cgroup> cgroup_;
  UniqueFd terminal_;
  bool let_go_ = false;
  bool released_ = false;
};

}  // namespace berth::container
