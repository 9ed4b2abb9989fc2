// What is done to a container that exists.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "container/hooks.h"
#include "lifecycle/lifecycle.h"

namespace berth::lifecycle {

namespace {

constexpr int kDeathMs = 10000;  // how long a SIGKILLed process may take to go

Error wrong_state(const char* call, const std::string& id, Status status) {
  return Error{EINVAL, call, id, std::string("the container is ") + status_name(status)};
}

/// A handle on the process the state names, sure not to be another that got its number.
Result<UniqueFd> process_of(const State& state) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, state.pid, 0)));
  if (!pidfd) return sys_error("pidfd_open", std::to_string(state.pid));
  if (process_start_time(state.pid) != state.start_time)
    return Error{ESRCH, "kill", state.id, "the container's process has ended"};
  return pidfd;
}

/// SIGKILLs the container's processes and waits until the first has gone.
Result<void> end_all(const State& state) {
  auto pidfd = process_of(state);
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0);
  if (auto group = cgroup::open(state.cgroup_path)) {
    (void)(*group)->thaw();
    BERTH_TRY((*group)->kill_all());
  }
  if (!pidfd) return {};
  pollfd entry{pidfd->get(), POLLIN, 0};
  if (::poll(&entry, 1, kDeathMs) == 0)
    return Error{ETIMEDOUT, "kill", state.id, "the container's process has not ended"};
  ::waitpid(state.pid, nullptr, WNOHANG);  // if it is our own child
  return {};
}

}  // namespace

Result<void> kill(Store& store, const std::string& id, int signal, bool all) {
  BERTH_ASSIGN(const State state, store.load(id));
  const Status status = status_of(store, state);
  if (all) {
    auto group = cgroup::open(state.cgroup_path);
    if (!group) {
      if (group.error().code == ENOENT) return {};
      return group.error();
    }
    if (signal == SIGKILL) return (*group)->kill_all();
    BERTH_ASSIGN(const auto pids, (*group)->processes());
    for (const pid_t pid : pids)
      if (::kill(pid, signal) != 0 && errno != ESRCH) return sys_error("kill", std::to_string(pid));
    return {};
  }
  if (status == Status::stopped || status == Status::creating) return wrong_state("kill", id, status);
  BERTH_ASSIGN(const UniqueFd pidfd, process_of(state));
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0) return sys_error("kill", id);
  return {};
}

Result<void> remove(Store& store, const std::string& id, bool force) {
  BERTH_TRY(check_id(id));
  auto loaded = store.load(id);
  if (!loaded) {
    if (!force) return loaded.error();
    // A `create` that was killed midway has left at most this: no process, as that died with its set-up socket.
    if (auto spec = store.spec(id))
      if (auto path = cgroup_path(*spec, id, false))
        if (auto group = cgroup::open(*path); group && (*group)->kill_all()) (void)(*group)->remove();
    return store.forget(id);
  }
  const State state = *loaded;
  const Status status = status_of(store, state);
  if (status != Status::stopped && !force) return wrong_state("delete", id, status);
  auto spec = store.spec(id);
  BERTH_TRY(end_all(state));
  if (auto group = cgroup::open(state.cgroup_path)) BERTH_TRY((*group)->remove());
  BERTH_TRY(store.forget(id));
  if (!spec) return {};
  const std::string text = container::state_json(*spec, id, state.bundle, "stopped", 0);
  // The container is gone whatever they say: a warning (runtime-spec, "Lifecycle").
  if (auto hooked = container::run_hooks(spec->hooks.poststop, text, "poststop", state.bundle); !hooked)
    std::fprintf(stderr, "berth-runtime: warning: %s\n", hooked.error().message().c_str());
  return {};
}

Result<void> pause(Store& store, const std::string& id) {
  BERTH_ASSIGN(const State state, store.load(id));
  const Status status = status_of(store, state);
  if (status != Status::running && status != Status::created) return wrong_state("pause", id, status);
  BERTH_ASSIGN(auto group, cgroup::open(state.cgroup_path));
  return group->freeze();
}

Result<void> resume(Store& store, const std::string& id) {
  BERTH_ASSIGN(const State state, store.load(id));
  const Status status = status_of(store, state);
  if (status != Status::paused) return wrong_state("resume", id, status);
  BERTH_ASSIGN(auto group, cgroup::open(state.cgroup_path));
  return group->thaw();
}

Result<void> update(Store& store, const std::string& id, const oci::Resources& resources) {
  BERTH_ASSIGN(const State state, store.load(id));
  const Status status = status_of(store, state);
  if (status == Status::stopped) return wrong_state("update", id, status);
  BERTH_ASSIGN(auto group, cgroup::open(state.cgroup_path));
  return group->apply(resources);
}

Result<std::vector<pid_t>> processes(Store& store, const std::string& id) {
  BERTH_ASSIGN(const State state, store.load(id));
  BERTH_ASSIGN(auto group, cgroup::open(state.cgroup_path));
  return group->processes();
}

namespace {

/// In crun's words, which its users look for.
Result<void> check_cgroup_below(const std::string& path) {
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (path.compare(at, end - at, "..") == 0)
      return Error{EINVAL, "", "", "cgroup " + path + ": `..` components are not allowed"};
    at = end + 1;
  }
  return {};
}

}  // namespace

Result<Running> exec(Store& store, const ExecRequest& request) {
  BERTH_ASSIGN(const State state, store.load(request.id));
  const Status status = status_of(store, state);
  if (status == Status::paused) return Error{EBUSY, "exec", "", "cannot exec in a paused container"};
  if (status != Status::running && status != Status::created)
    return Error{ESRCH, "", "", "cannot exec in a container that is not running"};
  BERTH_ASSIGN(const oci::Spec spec, store.spec(request.id));
  container::ExecOptions options;
  options.container_pid = state.pid;
  options.cgroup_path = state.cgroup_path;
  std::unique_ptr<cgroup::Cgroup> below;
  if (!request.cgroup.empty()) {
    BERTH_TRY(check_cgroup_below(request.cgroup));
    BERTH_ASSIGN(below, cgroup::open_below(state.cgroup_path, request.cgroup));
    options.group = below.get();
  }
  options.spec = &spec;
  options.user = request.user;
  options.die_with_parent = false;
  options.preserve_fds = request.preserve_fds;
  BERTH_ASSIGN(auto launched, container::exec(request.process, std::move(options)));
  Running running;
  running.pid = launched->pid();
  running.pidfd.reset(::fcntl(launched->pidfd(), F_DUPFD_CLOEXEC, 3));
  running.terminal = launched->take_terminal();
  if (!request.pid_file.empty()) BERTH_TRY(write_pid_file(request.pid_file, running.pid));
  BERTH_TRY(launched->release());
  return running;
}

}  // namespace berth::lifecycle
