#include "container/launched.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "base/clone.h"

namespace berth::container {

LaunchedProcess::~LaunchedProcess() {
  if (released_) return;
  ::kill(pid_, SIGKILL);
  wait_for(pid_);
  if (!cgroup_) return;
  (void)cgroup_->kill_all();
  (void)cgroup_->remove();
}

Result<void> LaunchedProcess::let_go() {
  if (std::exchange(let_go_, true)) return {};
  return sync_.send(Message::go);
}

Result<void> LaunchedProcess::release() {
  BERTH_TRY(let_go());
  // The socket closes itself when execve has worked (or when the process was killed: then it has run, for us).
  BERTH_ASSIGN(const Received received, sync_.receive());
  if (!received.end) return Error{EPROTO, "set-up", "", "unexpected message"};
  sync_.close();
  released_ = true;
  return {};
}

}  // namespace berth::container
