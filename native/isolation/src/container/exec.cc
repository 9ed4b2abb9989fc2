// More processes inside a running container.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "base/clone.h"
#include "container/launched.h"
#include "container/namespaces.h"
#include "container/process.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::container {

namespace {

constexpr std::pair<const char*, int> kNamespaces[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},       {"pid", CLONE_NEWPID},   {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

/// The namespaces in which the container differs from us: setns into one's own user namespace is refused.
Result<int> foreign_namespaces(pid_t pid) {
  const std::string theirs = "/proc/" + std::to_string(pid) + "/ns/";
  int flags = 0;
  for (const auto& [name, flag] : kNamespaces) {
    struct stat own, other;
    if (::stat((std::string("/proc/self/ns/") + name).c_str(), &own) != 0) continue;  // not in this kernel
    if (::stat((theirs + name).c_str(), &other) != 0) return sys_error("stat", theirs + name);
    if (own.st_ino != other.st_ino) flags |= flag;
  }
  return flags;
}

/// The process inside. Gives the Error that ended it.
Error run_inside(ProcessPlan& plan, Sync& sync) {
  UniqueFd terminal;
  Prepared prepared;
  auto work = [&]() -> Result<void> {
    // Processes of the container must not look into us, who still hold what is the host's, until execve.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_error("prctl", "PR_SET_DUMPABLE");
    if (plan.process.terminal) {
      const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
      BERTH_ASSIGN(terminal, give_terminal(plan, root.get(), sync));
    }
    BERTH_ASSIGN(prepared, prepare_process(plan, std::move(terminal), UniqueFd()));
    BERTH_TRY(sync.send(Message::ready));
    BERTH_TRY(sync.expect(Message::go));
    return {};
  };
  if (auto done = work(); !done) return done.error();
  return run_program(plan, prepared, UniqueFd());
}

/// Joins, and makes the process as a sibling: a pid namespace is entered by children only.
Result<void> run_stage(const ExecOptions& options, int namespaces, int pidfd, ProcessPlan& plan, Sync& sync) {
  if (namespaces != 0 && ::setns(pidfd, namespaces) != 0)
    return sys_error("setns", "process " + std::to_string(options.container_pid));
  if ((namespaces & CLONE_NEWUSER) != 0) become_namespace_root();
  const pid_t pid = clone_process(CLONE_PARENT, 0, nullptr, -1);
  if (pid < 0) return sys_error("clone3", "exec process");
  if (pid == 0) {
    ::umask(022);
    ::setsid();
    if (sync.expect(Message::mapped)) (void)sync.send_error(run_inside(plan, sync));
    ::_exit(1);
  }
  return sync.send(Message::pid, std::to_string(pid));
}

Result<void> attend(LaunchedProcess& launched) {
  for (;;) {
    BERTH_ASSIGN(Received received, launched.sync().receive());
    if (received.end) return Error{ECONNRESET, "set-up", "", "the process ended during set-up"};
    if (received.kind == Message::ready) return {};
    if (received.kind == Message::terminal) launched.set_terminal(std::move(received.fd));
  }
}

}  // namespace

Result<std::unique_ptr<Launched>> exec(const oci::Process& process, ExecOptions options) {
  if (process.args.empty()) return bad_input("process.args", "at least one argument");
  const UniqueFd container(static_cast<int>(::syscall(SYS_pidfd_open, options.container_pid, 0)));
  if (!container) return sys_error("pidfd_open", std::to_string(options.container_pid));
  BERTH_ASSIGN(const int namespaces, foreign_namespaces(options.container_pid));
  std::unique_ptr<cgroup::Cgroup> group;
  if (!options.cgroup_path.empty()) {
    BERTH_ASSIGN(group, cgroup::open(options.cgroup_path));
  }
  const UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return sys_error("open", "/proc");
  BERTH_ASSIGN(auto ends, Sync::make_pair());

  ProcessPlan plan{process};
  if (!options.privileged && options.spec != nullptr && options.spec->linux_.seccomp)
    plan.seccomp = &*options.spec->linux_.seccomp;
  plan.user = options.user;
  plan.groups = options.groups;
  plan.stdio = &options.stdio;
  plan.rows = options.rows;
  plan.cols = options.cols;
  plan.privileged = options.privileged;
  plan.die_with_parent = options.die_with_parent;
  plan.new_keyring = options.new_keyring;
  plan.preserve_fds = options.preserve_fds;
  plan.proc = proc.get();
  plan.keyring = std::to_string(options.container_pid);

  cgroup::Entry entry;
  if (group) {
    BERTH_ASSIGN(entry, group->entry());
  }
  const pid_t stage = clone_process(0, SIGCHLD, nullptr, entry.clone_into.get());
  if (stage < 0) return sys_error("clone3", "set-up process");
  if (stage == 0) {
    ends.first.close();
    // In the cgroup by itself and before anything else, so that all it makes is there too.
    const int entered = cgroup::enter(entry, true);
    auto done = entered != 0 ? Result<void>(Error{entered, "cgroup", options.cgroup_path, ""})
                             : run_stage(options, namespaces, container.get(), plan, ends.second);
    if (!done) (void)ends.second.send_error(done.error());
    ::_exit(done ? 0 : 1);
  }
  ends.second.close();
  auto received = ends.first.expect(Message::pid);
  wait_for(stage);
  if (!received) return received.error();
  const pid_t pid = static_cast<pid_t>(std::strtol(received->payload.c_str(), nullptr, 10));
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  auto launched = std::make_unique<LaunchedProcess>(pid, std::move(pidfd), std::move(ends.first), nullptr);
  BERTH_TRY(set_limits(pid, process));
  BERTH_TRY(launched->sync().send(Message::mapped));
  BERTH_TRY(attend(*launched));
  return std::unique_ptr<Launched>(std::move(launched));
}

}  // namespace berth::container
