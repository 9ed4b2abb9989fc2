// More processes inside a running container.
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/clone.h"
#include "container/launched.h"
#include "container/namespaces.h"
#include "container/process.h"
#include "container/seccomp.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::container {

namespace {

constexpr std::pair<const char*, int> kNamespaces[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},       {"pid", CLONE_NEWPID},   {"net", CLONE_NEWNET},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

/// Inode numbers of our own namespaces, in the order of kNamespaces; 0 for kinds that this kernel has not. They stay what they
/// are: whoever calls exec() changes none of his own.
const std::array<ino_t, std::size(kNamespaces)>& own_namespaces() {
  static const auto numbers = [] {
    std::array<ino_t, std::size(kNamespaces)> all{};
    for (size_t i = 0; i < all.size(); ++i) {
      struct stat info;
      if (::stat((std::string("/proc/self/ns/") + kNamespaces[i].first).c_str(), &info) == 0) all[i] = info.st_ino;
    }
    return all;
  }();
  return numbers;
}

/// The namespaces in which the container differs from us: setns into one's own user namespace is refused.
Result<int> foreign_namespaces(int proc, pid_t pid) {
  const std::string path = std::to_string(pid) + "/ns";
  const UniqueFd theirs(::openat(proc, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!theirs) return sys_error("open", "/proc/" + path);
  const auto& own = own_namespaces();
  int flags = 0;
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] == 0) continue;
    struct stat other;
    if (::fstatat(theirs.get(), kNamespaces[i].first, &other, 0) != 0)
      return sys_error("stat", "/proc/" + path + "/" + kNamespaces[i].first);
    if (own[i] != other.st_ino) flags |= kNamespaces[i].second;
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

/// What the making of one process needs.
struct Making {
  const ExecOptions& options;
  int namespaces;  // to be joined
  int container;   // pidfd of its first process
  const cgroup::Entry& entry;
  ProcessPlan& plan;
  Sync& parent;  // the caller's end
  Sync& child;
};

/// In a new process: into the cgroup, by itself and before anything else, so that all it makes is there too; then into the
/// namespaces.
Result<void> enter(const Making& making, int namespaces) {
  making.parent.close();
  if (const int code = cgroup::enter(making.entry, true); code != 0)
    return Error{code, "cgroup", making.options.cgroup_path, ""};
  if (namespaces != 0 && ::setns(making.container, namespaces) != 0)
    return sys_error("setns", "process " + std::to_string(making.options.container_pid));
  return {};
}

/// The new process's life, from its arrival in the namespaces to execve.
[[noreturn]] void live(const Making& making) {
  ::umask(022);
  ::setsid();
  (void)making.child.send_error(run_inside(making.plan, making.child));
  ::_exit(1);
}

Result<Spawned> spawn_here(const Making& making) {
  int pidfd = -1;
  const pid_t pid = clone_process(0, SIGCHLD, &pidfd, making.entry.clone_into.get());
  if (pid < 0) return sys_error("clone3", "exec process");
  if (pid == 0) {
    if (auto done = enter(making, making.namespaces & ~CLONE_NEWPID); done) live(making);
    else (void)making.child.send_error(done.error());
    ::_exit(1);
  }
  return Spawned{pid, UniqueFd(pidfd)};
}

/// One clone makes the process in the container's pid namespace: ours is left for the time of the call, for children alone.
Result<Spawned> spawn_direct(const Making& making) {
  if ((making.namespaces & CLONE_NEWPID) == 0) return spawn_here(making);
  const UniqueFd own(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  if (!own) return sys_error("open", "/proc/self/ns/pid");
  if (::setns(making.container, CLONE_NEWPID) != 0)
    return sys_error("setns", "process " + std::to_string(making.options.container_pid));
  auto spawned = spawn_here(making);
  if (::setns(own.get(), CLONE_NEWPID) == 0) return spawned;
  const Error error = sys_error("setns", "/proc/self/ns/pid");
  if (spawned) {
    ::kill(spawned->pid, SIGKILL);
    wait_for(spawned->pid);
  }
  return error;
}

/// Joins, and makes the process as a sibling: a pid namespace is entered by children only.
Result<void> run_stage(const Making& making) {
  BERTH_TRY(enter(making, making.namespaces));
  become_namespace_root();
  const pid_t pid = clone_process(CLONE_PARENT, 0, nullptr, -1);
  if (pid < 0) return sys_error("clone3", "exec process");
  if (pid == 0) {
    // Nothing of ours may overtake the message that tells our pid.
    if (making.child.expect(Message::mapped)) live(making);
    ::_exit(1);
  }
  return making.child.send(Message::pid, std::to_string(pid));
}

/// By way of another process, for a container with a user namespace: a caller without privilege may enter what belongs to
/// it only from inside.
Result<Spawned> spawn_staged(const Making& making) {
  const pid_t stage = clone_process(0, SIGCHLD, nullptr, making.entry.clone_into.get());
  if (stage < 0) return sys_error("clone3", "set-up process");
  if (stage == 0) {
    auto done = run_stage(making);
    if (!done) (void)making.child.send_error(done.error());
    ::_exit(done ? 0 : 1);
  }
  making.child.close();
  auto received = making.parent.expect(Message::pid);
  wait_for(stage);
  if (!received) return received.error();
  Spawned spawned;
  spawned.pid = static_cast<pid_t>(std::strtol(received->payload.c_str(), nullptr, 10));
  spawned.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  BERTH_TRY(making.parent.send(Message::mapped));
  return spawned;
}

Result<void> attend(LaunchedProcess& launched) {
  for (;;) {
    BERTH_ASSIGN(Received received, launched.sync().receive());
    if (received.end) return Error{ECONNRESET, "set-up", "", "the process ended during set-up"};
    if (received.kind == Message::ready) return {};
    if (received.kind == Message::terminal) launched.set_terminal(std::move(received.fd));
  }
}

/// The filter of the container's own processes, if this one is to have it. Compiled here, where it can be kept.
Result<void> plan_seccomp(const ExecOptions& options, SeccompFilter& own, ProcessPlan& plan) {
  if (options.spec == nullptr || !options.spec->linux_.seccomp) return {};
  SeccompFilter& filter = options.filter != nullptr ? *options.filter : own;
  if (!filter) {
    BERTH_ASSIGN(filter, compile_seccomp(*options.spec->linux_.seccomp, false));
  }
  plan.filter = filter.get();
  return {};
}

}  // namespace

Result<std::unique_ptr<Launched>> exec(const oci::Process& process, ExecOptions options) {
  if (process.args.empty()) return bad_input("process.args", "at least one argument");
  const UniqueFd container(static_cast<int>(::syscall(SYS_pidfd_open, options.container_pid, 0)));
  if (!container) return sys_error("pidfd_open", std::to_string(options.container_pid));
  const UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return sys_error("open", "/proc");
  BERTH_ASSIGN(const int namespaces, foreign_namespaces(proc.get(), options.container_pid));

  ProcessPlan plan{process};
  SeccompFilter filter;
  BERTH_TRY(plan_seccomp(options, filter, plan));
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

  std::unique_ptr<cgroup::Cgroup> opened;
  if (options.group == nullptr && !options.cgroup_path.empty()) {
    BERTH_ASSIGN(opened, cgroup::open(options.cgroup_path));
  }
  cgroup::Cgroup* const group = options.group != nullptr ? options.group : opened.get();
  cgroup::Entry entry;
  if (group != nullptr) {
    BERTH_ASSIGN(entry, group->entry());
  }
  BERTH_ASSIGN(auto ends, Sync::make_pair());
  const Making making{options, namespaces, container.get(), entry, plan, ends.first, ends.second};
  BERTH_ASSIGN(Spawned spawned, (namespaces & CLONE_NEWUSER) != 0 ? spawn_staged(making) : spawn_direct(making));
  ends.second.close();
  auto launched = std::make_unique<LaunchedProcess>(spawned.pid, std::move(spawned.pidfd), std::move(ends.first), nullptr);
  BERTH_TRY(set_limits(spawned.pid, process));
  // A process that has failed already is not there to hear it, and has said why: attend() hears that.
  if (options.at_once) (void)launched->let_go();
  BERTH_TRY(attend(*launched));
  return std::unique_ptr<Launched>(std::move(launched));
}

}  // namespace berth::container
