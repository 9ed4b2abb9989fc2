#include "container/namespaces.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/clone.h"
#include "base/file.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::container {

using oci::NamespaceType;

int clone_flag(NamespaceType type) {
  switch (type) {
    case NamespaceType::pid:
      return CLONE_NEWPID;
    case NamespaceType::network:
      return CLONE_NEWNET;
    case NamespaceType::mount:
      return CLONE_NEWNS;
    case NamespaceType::ipc:
      return CLONE_NEWIPC;
    case NamespaceType::uts:
      return CLONE_NEWUTS;
    case NamespaceType::user:
      return CLONE_NEWUSER;
    case NamespaceType::cgroup:
      return CLONE_NEWCGROUP;
    case NamespaceType::time:
      return CLONE_NEWTIME;
  }
  return 0;
}

bool NamespacePlan::joins_type(int type) const {
  for (const Join& join : joins)
    if (join.type == type) return true;
  return false;
}

bool NamespacePlan::own(int type) const {
  if (type == CLONE_NEWCGROUP && new_cgroup) return true;
  if (type == CLONE_NEWTIME && new_time) return true;
  if (type == CLONE_NEWUSER) return has_user;
  return (new_flags & static_cast<uint64_t>(type)) != 0 || joins_type(type);
}

bool NamespacePlan::staged() const {
  // A joined namespace that the host's user namespace owns can't be joined from inside a new user namespace; a pid or
  // time namespace is entered by the children of the process that joins it.
  return user.valid() || new_time || joins_type(CLONE_NEWPID) || joins_type(CLONE_NEWTIME) ||
         (new_user && !joins.empty());
}

Result<NamespacePlan> plan_namespaces(const oci::Spec& spec) {
  NamespacePlan plan;
  for (const auto& ns : spec.linux_.namespaces) {
    const int flag = clone_flag(ns.type);
    if (flag == CLONE_NEWUSER) plan.has_user = true;
    if (!ns.path.empty()) {
      UniqueFd fd(::open(ns.path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd) return sys_error("open namespace", ns.path);
      if (flag == CLONE_NEWUSER)
        plan.user = std::move(fd);
      else
        plan.joins.push_back({flag, std::move(fd), ns.path});
    } else if (flag == CLONE_NEWCGROUP) {
      plan.new_cgroup = true;
    } else if (flag == CLONE_NEWTIME) {
      plan.new_time = true;
    } else {
      plan.new_flags |= static_cast<uint64_t>(flag);
      if (flag == CLONE_NEWUSER) plan.new_user = true;
    }
  }
  return plan;
}

void become_namespace_root() {
  // EINVAL where the namespace does not map 0: the capabilities are there all the same.
  (void)!::setresgid(0, 0, 0);
  (void)!::setgroups(0, nullptr);
  (void)!::setresuid(0, 0, 0);
}

std::string map_text(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  if (mappings.empty()) return "0 0 4294967295\n";
  for (const auto& one : mappings)
    text += std::to_string(one.container_id) + " " + std::to_string(one.host_id) + " " + std::to_string(one.size) + "\n";
  return text;
}

namespace {

Result<void> write_maps(pid_t pid, const oci::Linux& config) {
  const std::string proc = "/proc/" + std::to_string(pid);
  auto written = write_file(proc + "/gid_map", map_text(config.gid_mappings));
  if (!written && written.error().code == EPERM) {
    // Without privilege one's own id may still be mapped, if setgroups is given up first.
    BERTH_TRY(write_file(proc + "/setgroups", "deny"));
    written = write_file(proc + "/gid_map", map_text(config.gid_mappings));
  }
  BERTH_TRY(std::move(written));
  return write_file(proc + "/uid_map", map_text(config.uid_mappings));
}

Result<void> write_time_offsets(const oci::Linux& config) {
  std::string text;
  for (const auto& offset : config.time_offsets)
    text += offset.clock + " " + std::to_string(offset.secs) + " " + std::to_string(offset.nanosecs) + "\n";
  if (text.empty()) return {};
  return write_file("/proc/self/timens_offsets", text);
}

/// Joins what the plan names; with `skip_denied` those that are not permitted yet stay for a second round. The mount
/// namespace comes last, as it changes what paths mean.
Result<void> join_all(const NamespacePlan& plan, uint64_t& done, bool skip_denied) {
  for (const bool mounts : {false, true})
    for (const auto& join : plan.joins) {
      if ((join.type == CLONE_NEWNS) != mounts || (done & static_cast<uint64_t>(join.type)) != 0) continue;
      if (::setns(join.fd.get(), join.type) == 0)
        done |= static_cast<uint64_t>(join.type);
      else if (!skip_denied || errno != EPERM)
        return sys_error("setns", join.path);
    }
  return {};
}

/// The intermediate process: enters and makes the outer namespaces, then has the container's first process made as its
/// own sibling, so that it is a child of launch()'s caller.
Result<void> run_stage(const oci::Spec& spec, const NamespacePlan& plan, Sync& sync, const std::function<void()>& body) {
  uint64_t joined = 0;
  BERTH_TRY(join_all(plan, joined, plan.has_user));
  if (plan.user && ::setns(plan.user.get(), CLONE_NEWUSER) != 0) return sys_error("setns", "user namespace");
  if (plan.new_user) {
    if (::unshare(CLONE_NEWUSER) != 0) return sys_error("unshare", "user namespace");
    // Others of this uid (and the mapper) may look at us again: changing credentials made us undumpable.
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    BERTH_TRY(sync.send(Message::map_me));
    BERTH_TRY(sync.expect(Message::mapped));
  }
  if (plan.has_user) become_namespace_root();
  BERTH_TRY(join_all(plan, joined, false));
  if (plan.new_time) {
    if (::unshare(CLONE_NEWTIME) != 0) return sys_error("unshare", "time namespace");
    BERTH_TRY(write_time_offsets(spec.linux_));
  }
  const pid_t pid = clone_process((plan.new_flags & ~uint64_t{CLONE_NEWUSER}) | CLONE_PARENT, 0, nullptr, -1);
  if (pid < 0) return sys_error("clone3", "container process");
  if (pid == 0) {
    // Nothing of ours may overtake the message that tells our pid.
    if (auto told = sync.expect(Message::mapped)) body();
    ::_exit(1);
  }
  return sync.send(Message::pid, std::to_string(pid));
}

Result<Spawned> spawn_staged(const oci::Spec& spec, const NamespacePlan& plan, int cgroup_fd, Sync& parent, Sync& child,
                             const std::function<void()>& body) {
  const pid_t stage = clone_process(0, SIGCHLD, nullptr, cgroup_fd);
  if (stage < 0) return sys_error("clone3", "set-up process");
  if (stage == 0) {
    parent.close();
    if (auto done = run_stage(spec, plan, child, body); !done) {
      (void)child.send_error(done.error());
      ::_exit(1);
    }
    ::_exit(0);
  }
  auto give_up = [&](Error error) {
    ::kill(stage, SIGKILL);
    wait_for(stage);
    return error;
  };
  child.close();
  if (plan.new_user) {
    if (auto asked = parent.expect(Message::map_me); !asked) return give_up(asked.error());
    if (auto mapped = write_maps(stage, spec.linux_); !mapped) return give_up(mapped.error());
    if (auto told = parent.send(Message::mapped); !told) return give_up(told.error());
  }
  auto received = parent.expect(Message::pid);
  if (!received) return give_up(received.error());
  Spawned spawned;
  spawned.pid = static_cast<pid_t>(std::strtol(received->payload.c_str(), nullptr, 10));
  wait_for(stage);
  // Our own child, not reaped yet: the number can't have been given to another.
  spawned.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, spawned.pid, 0)));
  auto told = spawned.pidfd ? parent.send(Message::mapped) : Result<void>(sys_error("pidfd_open"));
  if (!told) {
    const Error error = told.error();
    ::kill(spawned.pid, SIGKILL);
    wait_for(spawned.pid);
    return error;
  }
  return spawned;
}

/// Runs in a process made with its namespaces by one clone3.
Result<void> enter_direct(const NamespacePlan& plan, Sync& sync) {
  if (plan.new_user) {
    BERTH_TRY(sync.expect(Message::mapped));
    become_namespace_root();
  }
  uint64_t joined = 0;
  return join_all(plan, joined, false);
}

}  // namespace

Result<Spawned> spawn(const oci::Spec& spec, const NamespacePlan& plan, int cgroup_fd, Sync& parent, Sync& child,
                      const std::function<void()>& body) {
  if (plan.staged()) return spawn_staged(spec, plan, cgroup_fd, parent, child, body);
  int pidfd = -1;
  const pid_t pid = clone_process(plan.new_flags, SIGCHLD, &pidfd, cgroup_fd);
  if (pid < 0) return sys_error("clone3", "container process");
  if (pid == 0) {
    parent.close();
    if (auto entered = enter_direct(plan, child); !entered)
      (void)child.send_error(entered.error());
    else
      body();
    ::_exit(1);
  }
  child.close();
  Spawned spawned{pid, UniqueFd(pidfd)};
  if (plan.new_user) {
    auto mapped = write_maps(pid, spec.linux_);
    if (mapped) mapped = parent.send(Message::mapped);
    if (!mapped) {
      ::kill(pid, SIGKILL);
      wait_for(pid);
      return mapped.error();
    }
  }
  return spawned;
}

}  // namespace berth::container
