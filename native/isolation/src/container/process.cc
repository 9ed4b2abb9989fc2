#include "container/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <csignal>

#include "base/file.h"
#include "container/paths.h"
#include "container/scheduling.h"
#include "container/seccomp.h"
#include "container/terminal.h"
#include "container/users.h"

namespace berth::container {

namespace {

Result<void> set_stdio(const Stdio& stdio) {
  const int wanted[3] = {stdio.in.get(), stdio.out.get(), stdio.err.get()};
  int high[3];
  // Two rounds: one of the three may itself be 0, 1 or 2.
  for (int fd = 0; fd < 3; ++fd) {
    high[fd] = -1;
    if (wanted[fd] < 0) continue;
    high[fd] = ::fcntl(wanted[fd], F_DUPFD_CLOEXEC, 10);
    if (high[fd] < 0) return sys_error("fcntl", "stdio");
  }
  for (int fd = 0; fd < 3; ++fd) {
    if (high[fd] < 0) continue;
    if (::dup2(high[fd], fd) < 0) return sys_error("dup2", "stdio");
    ::close(high[fd]);
  }
  return {};
}

/// The stdio a process without terminal gets may belong to another user; Docker makes it the process' own, so that
/// /dev/stdout can be opened again by name. What is not ours to change (the null device, a socket) stays.
void own_stdio(uid_t uid) {
  struct stat null;
  const bool known = ::stat("/dev/null", &null) == 0;
  for (int fd = 0; fd < 3; ++fd) {
    struct stat info;
    if (::fstat(fd, &info) != 0 || info.st_uid == uid) continue;
    if (known && S_ISCHR(info.st_mode) && info.st_rdev == null.st_rdev) continue;
    (void)!::fchown(fd, uid, static_cast<gid_t>(-1));
  }
}

Result<void> set_security_labels(const ProcessPlan& plan) {
  auto write_attribute = [&](const std::string& path, const std::string& text) -> Result<void> {
    const UniqueFd file(::openat(plan.proc, path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return sys_error("open", "/proc/" + path);
    return write_all(file.get(), text, "/proc/" + path);
  };
  const oci::Process& process = plan.process;
  if (!process.selinux_label.empty()) {
    // A host without SELinux shows the same files, for another module.
    const UniqueFd current(::openat(plan.proc, "filesystems", O_RDONLY | O_CLOEXEC));
    BERTH_ASSIGN(const std::string known, read_fd(current.get(), "/proc/filesystems"));
    if (known.find("selinuxfs") != std::string::npos)
      BERTH_TRY(write_attribute("self/attr/exec", process.selinux_label));
  }
  if (!process.apparmor_profile.empty() && process.apparmor_profile != "unconfined") {
    const std::string text = "exec " + process.apparmor_profile;
    if (::faccessat(plan.proc, "self/attr/apparmor/exec", F_OK, 0) == 0)
      BERTH_TRY(write_attribute("self/attr/apparmor/exec", text));
  }
  return {};
}

void new_session_keyring(const std::string& name) {
  // Not fatal: kernels without keys, and quotas, exist; the container then has none.
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str()) < 0) return;
}

Result<void> enter_cwd(const std::string& cwd, bool make) {
  if (::chdir(cwd.c_str()) == 0) return {};
  if (errno != ENOENT || !make) return sys_error("chdir to cwd", cwd);
  BERTH_TRY(make_directories(cwd, 0755));
  if (::chdir(cwd.c_str()) != 0) return sys_error("chdir to cwd", cwd);
  return {};
}

/// A working directory outside the container's root, left open by the host, would be a way out.
Result<void> check_cwd(const std::string& cwd) {
  char text[PATH_MAX];
  const long length = ::syscall(SYS_getcwd, text, sizeof text);
  if (length < 0) return sys_error("getcwd", cwd);
  if (text[0] != '/') return Error{ENOENT, "chdir to cwd", cwd, "the directory is outside the container's root"};
  return {};
}

Result<void> become(const ProcessPlan& plan, const Identity& identity, const CapabilitySets& sets) {
  BERTH_TRY(drop_bounding(sets));
  // Refused (EPERM) in a user namespace whose gid map was made without privilege; then there are none to drop.
  if (::setgroups(identity.groups.size(), identity.groups.data()) != 0 && (errno != EPERM || !identity.groups.empty()))
    return sys_error("setgroups");
  if (::setresgid(identity.gid, identity.gid, identity.gid) != 0)
    return sys_error("setresgid", std::to_string(identity.gid));
  if (::setresuid(identity.uid, identity.uid, identity.uid) != 0)
    return sys_error("setresuid", std::to_string(identity.uid));
  if (plan.process.user.umask) ::umask(static_cast<mode_t>(*plan.process.user.umask));
  return {};
}

bool has_variable(const std::vector<std::string>& env, const std::string& prefix) {
  for (const auto& entry : env)
    if (entry.starts_with(prefix)) return true;
  return false;
}

Result<CapabilitySets> wanted_capabilities(const ProcessPlan& plan) {
  if (plan.privileged) return all_capabilities();
  return resolve_capabilities(plan.process.capabilities);
}

bool has_seccomp(const ProcessPlan& plan) { return plan.seccomp != nullptr || plan.filter != nullptr; }

/// Loads the filter and hands its notifications to whoever listens.
Result<void> apply_seccomp(const ProcessPlan& plan, const UniqueFd& listener) {
  SeccompFilter compiled;
  if (plan.filter == nullptr) {
    BERTH_ASSIGN(compiled, compile_seccomp(*plan.seccomp, listener.valid()));
  }
  BERTH_ASSIGN(const UniqueFd notify, load_seccomp(plan.filter != nullptr ? *plan.filter : *compiled));
  if (!notify) return {};
  return send_seccomp_state(listener.get(), notify.get(), plan.seccomp_state);
}

}  // namespace

Result<UniqueFd> give_terminal(const ProcessPlan& plan, int root, Sync& sync) {
  uint16_t rows = plan.rows, cols = plan.cols;
  if (rows == 0 && cols == 0 && plan.process.console_size) {
    rows = plan.process.console_size->height;
    cols = plan.process.console_size->width;
  }
  BERTH_ASSIGN(Terminal terminal, open_terminal(root, rows, cols));
  if (plan.first) BERTH_TRY(mount_console(root, terminal.slave.get()));
  BERTH_TRY(sync.send(Message::terminal, {}, terminal.master.get()));
  return std::move(terminal.slave);
}

Result<Prepared> prepare_process(const ProcessPlan& plan, UniqueFd terminal, const UniqueFd& seccomp_listener) {
  const oci::Process& process = plan.process;
  Prepared prepared;
  if (plan.new_keyring) new_session_keyring("_ses." + plan.keyring);
  if (terminal)
    BERTH_TRY(use_terminal(terminal.get()));
  else if (plan.stdio != nullptr)
    BERTH_TRY(set_stdio(*plan.stdio));
  if (plan.personality != nullptr) BERTH_TRY(set_personality(*plan.personality));
  BERTH_TRY(set_scheduling(process));
  if (plan.memory_policy != nullptr) BERTH_TRY(set_memory_policy(*plan.memory_policy));
  BERTH_TRY(set_security_labels(plan));

  const UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", "/");
  BERTH_ASSIGN(const Identity identity, resolve_identity(root.get(), {plan.user, plan.groups}, process.user));
  own_stdio(identity.uid);
  // As root first, which may make it; as the user below, for whom a directory of root's may be closed or NFS open.
  const auto entered = enter_cwd(process.cwd, plan.first);
  if (entered) BERTH_TRY(check_cwd(process.cwd));
  BERTH_ASSIGN(const CapabilitySets sets, wanted_capabilities(plan));
  if (has_seccomp(plan) && !process.no_new_privileges) {
    // Without no_new_privs loading needs CAP_SYS_ADMIN, which goes away now.
    BERTH_TRY(apply_seccomp(plan, seccomp_listener));
    prepared.seccomp_loaded = true;
  }
  BERTH_TRY(become(plan, identity, sets));
  if (!entered) {
    BERTH_TRY(enter_cwd(process.cwd, false));
    BERTH_TRY(check_cwd(process.cwd));
  }
  BERTH_TRY(set_capabilities(sets));
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return sys_error("prctl", "PR_SET_NO_NEW_PRIVS");
  // After the ids: changing them clears it. The parent can't have died unseen, as we still wait for its word.
  if (plan.die_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    return sys_error("prctl", "PR_SET_PDEATHSIG");

  prepared.env = process.env;
  // An empty one counts as none, as with Docker.
  std::erase(prepared.env, "HOME=");
  if (!has_variable(prepared.env, "HOME=")) prepared.env.push_back("HOME=" + identity.home);
  if (process.args.empty()) return prepared;  // the caller knows and fails later
  BERTH_ASSIGN(prepared.program, find_program(process.args[0], prepared.env));
  return prepared;
}

Error run_program(const ProcessPlan& plan, const Prepared& prepared, const UniqueFd& seccomp_listener) {
  std::vector<char*> args, env;
  for (const auto& arg : plan.process.args) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  for (const auto& entry : prepared.env) env.push_back(const_cast<char*>(entry.c_str()));
  env.push_back(nullptr);
  // Whatever a caller left open without O_CLOEXEC is not the container's.
  ::syscall(SYS_close_range, 3 + plan.preserve_fds, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  if (has_seccomp(plan) && !prepared.seccomp_loaded)
    if (auto loaded = apply_seccomp(plan, seccomp_listener); !loaded) return loaded.error();
  ::execve(prepared.program.c_str(), args.data(), env.data());
  const int code = errno;
  return Error{code, "exec", prepared.program, code == ENOEXEC ? "exec format error" : ""};
}

Result<void> set_limits(pid_t pid, const oci::Process& process) {
  for (const auto& limit : process.rlimits) {
    BERTH_ASSIGN(const int resource, rlimit_number(limit.type));
    const rlimit64 value{limit.soft, limit.hard};
    if (::prlimit64(pid, static_cast<__rlimit_resource>(resource), &value, nullptr) != 0)
      return sys_error("prlimit", limit.type);
  }
  if (process.oom_score_adj) {
    auto written = write_file("/proc/" + std::to_string(pid) + "/oom_score_adj", std::to_string(*process.oom_score_adj));
    if (!written) return written.error();
  }
  return {};
}

}  // namespace berth::container
