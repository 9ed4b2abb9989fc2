#include "container/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/clone.h"
#include "container/hooks.h"
#include "container/idmap.h"
#include "container/launched.h"
#include "container/namespaces.h"
#include "container/paths.h"
#include "container/process.h"
#include "container/setup.h"
#include "oci/json.h"

namespace berth::container {

Result<void> Setup::await_cgroup() {
  if (in_cgroup) return {};
  BERTH_ASSIGN(const Received received, sync.expect(Message::cgroup));
  host_pid = static_cast<pid_t>(std::strtol(received.payload.c_str(), nullptr, 10));
  // By ourselves: a move from outside waits for all forks on the host (see cgroup::Entry).
  if (entry != nullptr)
    if (const int code = cgroup::enter(*entry, true); code != 0) return Error{code, "cgroup", "tasks", ""};
  in_cgroup = true;
  // Only now: the namespace's root is the cgroup its maker is in.
  if (plan.new_cgroup && ::unshare(CLONE_NEWCGROUP) != 0) return sys_error("unshare", "cgroup namespace");
  return {};
}

namespace {

bool has_create_hooks(const oci::Hooks& hooks) { return !hooks.prestart.empty() || !hooks.create_runtime.empty(); }

Result<void> set_names(const oci::Spec& spec) {
  if (!spec.hostname.empty() && ::sethostname(spec.hostname.c_str(), spec.hostname.size()) != 0)
    return sys_error("sethostname", spec.hostname);
  if (!spec.domainname.empty() && ::setdomainname(spec.domainname.c_str(), spec.domainname.size()) != 0)
    return sys_error("setdomainname", spec.domainname);
  return {};
}

/// A missing working directory is made, while the root is still writable. What can't be made is told when it is entered.
Result<void> make_cwd(const Setup& setup, const std::string& cwd) {
  if (!open_in_root(setup.root.get(), cwd, O_PATH)) (void)ensure_in_root(setup.root.get(), cwd, Make::directory);
  return {};
}

Result<void> create_hooks(Setup& setup) {
  const oci::Hooks& hooks = setup.spec.hooks;
  if (has_create_hooks(hooks)) {
    BERTH_TRY(setup.await_cgroup());
    BERTH_TRY(setup.sync.send(Message::hooks));
    BERTH_TRY(setup.sync.expect(Message::hooked));
  }
  if (hooks.create_container.empty()) return {};
  BERTH_TRY(setup.await_cgroup());
  const std::string state = state_json(setup.spec, setup.options.id, setup.options.bundle, "creating", setup.host_pid);
  return run_hooks(hooks.create_container, state, "createContainer", setup.options.bundle);
}

Result<UniqueFd> connect_listener(const oci::Spec& spec) {
  if (!spec.linux_.seccomp || spec.linux_.seccomp->listener_path.empty()) return UniqueFd();
  const std::string& path = spec.linux_.seccomp->listener_path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return bad_input("linux.seccomp.listenerPath", "at most 107 bytes");
  path.copy(address.sun_path, path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return sys_error("connect", path);
  return fd;
}

/// The "container process state" of the runtime-spec, which goes to the seccomp agent with the descriptor.
std::string seccomp_state(const Setup& setup) {
  const oci::Json state = {
      {"ociVersion", "0.2.0"},
      {"fds", {"seccompFd"}},
      {"pid", setup.host_pid},
      {"metadata", setup.spec.linux_.seccomp->listener_metadata},
      {"state", oci::Json::parse(state_json(setup.spec, setup.options.id, setup.options.bundle, "creating", setup.host_pid), nullptr, false)}};
  return state.dump(-1, ' ', false, oci::Json::error_handler_t::replace);
}

/// Waits for the word to run: over the set-up socket, or over a connection to the start socket (then that becomes the
/// socket on which a failed execve is told).
Result<void> await_go(Setup& setup) {
  if (!setup.options.start_socket) return setup.sync.expect(Message::go).ok() ? Result<void>() : Error{ECANCELED, "set-up", "", ""};
  setup.sync.close();
  for (;;) {
    UniqueFd connection(::accept4(setup.options.start_socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return sys_error("accept", "start socket");
    }
    setup.sync = Sync(std::move(connection));
    if (setup.sync.expect(Message::go)) break;
  }
  setup.options.start_socket.reset();
  return {};
}

/// The whole life of the container's first process up to execve. Gives the Error that ended it.
Error run_first_process(Setup& setup) {
  const oci::Spec& spec = setup.spec;
  // The runtime-spec: create works without a process, start is what fails.
  oci::Process none;
  none.cwd = "/";
  const oci::Process& process = spec.process ? *spec.process : none;
  ProcessPlan plan{process};
  plan.seccomp = spec.linux_.seccomp ? &*spec.linux_.seccomp : nullptr;
  plan.user = setup.options.user;
  plan.groups = setup.options.groups;
  plan.stdio = &setup.options.stdio;
  plan.rows = setup.options.rows;
  plan.cols = setup.options.cols;
  plan.die_with_parent = setup.options.die_with_parent;
  plan.new_keyring = setup.options.new_keyring;
  plan.first = true;
  plan.preserve_fds = setup.options.preserve_fds;
  plan.personality = spec.linux_.personality ? &*spec.linux_.personality : nullptr;
  plan.memory_policy = spec.linux_.memory_policy ? &*spec.linux_.memory_policy : nullptr;
  plan.proc = setup.proc.get();
  plan.keyring = setup.options.id;

  UniqueFd listener, terminal;
  Prepared prepared;
  auto work = [&]() -> Result<void> {
    BERTH_ASSIGN(listener, connect_listener(spec));
    BERTH_TRY(prepare_rootfs(setup));
    BERTH_TRY(make_mounts(setup));
    if (setup.plan.own(CLONE_NEWNS)) BERTH_TRY(make_devices(setup));
    if (process.terminal) {
      BERTH_ASSIGN(terminal, give_terminal(plan, setup.root.get(), setup.sync));
    }
    BERTH_TRY(set_names(spec));
    BERTH_TRY(write_sysctls(setup));
    BERTH_TRY(make_cwd(setup, process.cwd));
    BERTH_TRY(create_hooks(setup));
    // Before the roots are swapped: it needs the host's /proc, and the container may have none.
    BERTH_TRY(seal_rootfs(setup));
    BERTH_TRY(enter_rootfs(setup));
    BERTH_TRY(setup.await_cgroup());
    if (listener) plan.seccomp_state = seccomp_state(setup);
    BERTH_ASSIGN(prepared, prepare_process(plan, std::move(terminal), listener));
    BERTH_TRY(setup.sync.send(Message::ready));
    BERTH_TRY(await_go(setup));
    if (!spec.process) return bad_input("process", "an object");
    if (!setup.options.run_hooks || spec.hooks.start_container.empty()) return {};
    const std::string state = state_json(spec, setup.options.id, setup.options.bundle, "created", setup.host_pid);
    return run_hooks(spec.hooks.start_container, state, "startContainer", "");
  };
  if (auto done = work(); !done) return done.error();
  return run_program(plan, prepared, listener);
}

/// Refuses what can be seen to be wrong before anything is made.
Result<void> check(const oci::Spec& spec, const LaunchOptions& options, const NamespacePlan& plan) {
  if (!spec.process && !options.start_socket) return bad_input("process", "an object");
  if (!spec.root) return bad_input("root", "an object");
  if (spec.process && spec.process->args.empty()) return bad_input("process.args", "at least one argument");
  if (plan.new_user && spec.linux_.uid_mappings.empty() != spec.linux_.gid_mappings.empty())
    return bad_input("linux.uidMappings", "both uidMappings and gidMappings, or none");
  if (!spec.hostname.empty() && !plan.own(CLONE_NEWUTS)) return bad_input("hostname", "a uts namespace");
  if (!plan.own(CLONE_NEWNS) && (!spec.linux_.masked_paths.empty() || !spec.linux_.readonly_paths.empty()))
    return bad_input("linux.maskedPaths", "a mount namespace in linux.namespaces");
  if (options.rootfs_mounts.size() > 64) return bad_input("rootfsMounts", "at most 64");
  if (options.staged_mounts.size() > 64) return bad_input("stagedMounts", "at most 64");
  return check_sysctls(spec, plan);
}

Result<std::string> root_path(const oci::Spec& spec, const LaunchOptions& options) {
  const std::string path = clean_path(absolute(options.bundle, spec.root->path));
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return sys_error("stat", path);
  if (!S_ISDIR(info.st_mode)) return Error{ENOTDIR, "config", "root.path", "a directory, got " + path};
  return path;
}

oci::Resources with_default_devices(const oci::Spec& spec) {
  oci::Resources resources;
  if (spec.linux_.resources) resources = *spec.linux_.resources;
  if (resources.devices.empty()) return resources;
  for (auto& rule : default_device_rules()) resources.devices.push_back(std::move(rule));
  return resources;
}

/// The parent's part while the process sets itself up: hooks when it asks, the terminal when it comes.
Result<void> attend(const oci::Spec& spec, const LaunchOptions& options, LaunchedProcess& launched) {
  for (;;) {
    BERTH_ASSIGN(Received received, launched.sync().receive());
    if (received.end) return Error{ECONNRESET, "set-up", "", "the container's process ended during set-up"};
    if (received.kind == Message::ready) return {};
    if (received.kind == Message::terminal) {
      launched.set_terminal(std::move(received.fd));
    } else if (received.kind == Message::hooks) {
      const std::string state = state_json(spec, options.id, options.bundle, "creating", launched.pid());
      if (options.run_hooks) {
        // The deprecated hook's state says "created", as its users know it from before createRuntime was split off.
        const std::string old_state = state_json(spec, options.id, options.bundle, "created", launched.pid());
        BERTH_TRY(run_hooks(spec.hooks.prestart, old_state, "prestart", options.bundle));
        BERTH_TRY(run_hooks(spec.hooks.create_runtime, state, "createRuntime", options.bundle));
      }
      (void)launched.sync().send(Message::hooked);
    }
  }
}

}  // namespace

Result<std::unique_ptr<Launched>> launch(const oci::Spec& spec, LaunchOptions options) {
  BERTH_ASSIGN(NamespacePlan plan, plan_namespaces(spec));
  BERTH_TRY(check(spec, options, plan));
  BERTH_ASSIGN(const std::string rootfs, root_path(spec, options));
  BERTH_ASSIGN(auto ends, Sync::make_pair());
  Setup setup{spec, options, plan, ends.second, {}, {}, rootfs, 0, false, nullptr, {}, {}, {}};
  setup.proc.reset(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!setup.proc) return sys_error("open", "/proc");
  BERTH_TRY(prepare_trees(setup));
  BERTH_TRY(prepare_nodes(setup));

  std::string path = options.cgroup_path.empty() ? spec.linux_.cgroups_path : options.cgroup_path;
  if (path.empty()) path = "/berth/" + options.id;
  BERTH_ASSIGN(auto group, cgroup::create(clean_path(path)));
  auto give_up = [&](Error error) {
    (void)group->remove();
    return error;
  };
  auto entry = group->entry();
  if (!entry) return give_up(entry.error());
  // Before Linux 5.16 the writer's own credentials count, and those of a user namespace do not do.
  if (!plan.new_user) setup.entry = &*entry;
  auto spawned = spawn(spec, plan, entry->clone_into.get(), ends.first, ends.second, [&] {
    ::umask(0);
    ::setsid();
    (void)setup.sync.send_error(run_first_process(setup));
  });
  if (!spawned) return give_up(spawned.error());
  auto launched = std::make_unique<LaunchedProcess>(spawned->pid, std::move(spawned->pidfd), std::move(ends.first),
                                                    std::move(group));
  BERTH_TRY(launched->cgroup()->apply(with_default_devices(spec)));
  if (setup.entry == nullptr) BERTH_TRY(launched->cgroup()->add(launched->pid()));
  if (spec.process) BERTH_TRY(set_limits(launched->pid(), *spec.process));
  // A process that has failed already has said why, and is gone: attend() will hear it.
  (void)launched->sync().send(Message::cgroup, std::to_string(launched->pid()));
  BERTH_TRY(attend(spec, options, *launched));
  return std::unique_ptr<Launched>(std::move(launched));
}

}  // namespace berth::container
