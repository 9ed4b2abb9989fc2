// create, run, start: from nothing to a running container.
#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "base/file.h"
#include "container/hooks.h"
#include "container/paths.h"
#include "container/sync.h"
#include "oci/parse.h"
#include "lifecycle/lifecycle.h"
#include "lifecycle/socket.h"

namespace berth::lifecycle {

namespace {

std::string now_text() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts;
  ::gmtime_r(&now.tv_sec, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec);
  return text;
}

container::LaunchOptions launch_options(const CreateOptions& options, const std::string& path) {
  container::LaunchOptions launch;
  launch.id = options.id;
  launch.bundle = options.bundle;
  launch.die_with_parent = false;
  launch.no_pivot = options.no_pivot;
  launch.new_keyring = !options.no_new_keyring;
  launch.preserve_fds = options.preserve_fds;
  launch.cgroup_path = path;
  launch.run_hooks = true;
  return launch;
}

/// The steps that create and run share, up to a process that waits. Leaves a directory that the caller forgets on error.
struct Made {
  State state;
  std::unique_ptr<container::Launched> launched;
};

Result<Made> make(Store& store, const CreateOptions& options, const oci::Spec& spec, bool for_start) {
  Made made;
  made.state.id = options.id;
  made.state.bundle = options.bundle;
  made.state.rootfs = spec.root ? container::clean_path(container::absolute(options.bundle, spec.root->path)) : "";
  made.state.systemd_cgroup = options.systemd_cgroup;
  made.state.created = now_text();
  made.state.owner = ::getuid() == 0 ? "root" : std::to_string(::getuid());
  BERTH_ASSIGN(made.state.cgroup_path, cgroup_path(spec, options.id, options.systemd_cgroup));
  container::LaunchOptions launch = launch_options(options, made.state.cgroup_path);
  if (for_start) {
    BERTH_ASSIGN(launch.start_socket, listen_at(store.start_socket(options.id)));
  }
  BERTH_ASSIGN(made.launched, container::launch(spec, std::move(launch)));
  made.state.pid = made.launched->pid();
  made.state.start_time = process_start_time(made.state.pid);
  BERTH_TRY(store.save(made.state));
  if (!options.pid_file.empty()) BERTH_TRY(write_pid_file(options.pid_file, made.state.pid));
  return made;
}

/// Reads and checks the configuration; its text goes into `text`.
Result<oci::Spec> usable_spec(const CreateOptions& options, bool detached, std::string& text) {
  const std::string path = options.config.empty() ? options.bundle + "/config.json" : options.config;
  BERTH_ASSIGN(text, read_file(path, oci::kMaxDocumentBytes));
  BERTH_ASSIGN(oci::Spec spec, oci::parse_spec(text));
  // systemd's socket activation goes on into the container: the sockets are descriptors 3 and up, of its process 1.
  if (const char* listen = ::getenv("LISTEN_FDS"); listen != nullptr && spec.process) {
    spec.process->env.push_back(std::string("LISTEN_FDS=") + listen);
    spec.process->env.push_back("LISTEN_PID=1");
  }
  const bool terminal = spec.process && spec.process->terminal;
  if (terminal && detached && options.console_socket.empty())
    return bad_input("process.terminal", "a --console-socket for the terminal");
  if (!terminal && !options.console_socket.empty())
    return bad_input("--console-socket", "a process.terminal that is true");
  return spec;
}

}  // namespace

Result<std::string> cgroup_path(const oci::Spec& spec, const std::string& id, bool systemd) {
  const std::string& wanted = spec.linux_.cgroups_path;
  if (!systemd) return wanted.empty() ? "/berth/" + id : container::clean_path(wanted);
  std::string slice = "system.slice", prefix = "berth", name = id;
  if (!wanted.empty()) {
    const size_t first = wanted.find(':');
    const size_t second = first == std::string::npos ? first : wanted.find(':', first + 1);
    if (second == std::string::npos || wanted.find('/') != std::string::npos)
      return bad_input("linux.cgroupsPath", "slice:prefix:name with --systemd-cgroup, got " + wanted);
    if (first > 0) slice = wanted.substr(0, first);
    prefix = wanted.substr(first + 1, second - first - 1);
    name = wanted.substr(second + 1);
  }
  // A slice's name holds its parents': a-b.slice is in a.slice.
  std::string path;
  if (slice != "-.slice")
    for (size_t dash = slice.find('-'); dash != std::string::npos; dash = slice.find('-', dash + 1))
      path += "/" + slice.substr(0, dash) + ".slice";
  if (slice != "-.slice") path += "/" + slice;
  return path + "/" + (name.ends_with(".slice") ? name : (prefix.empty() ? name : prefix + "-" + name) + ".scope");
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
  return replace_file(path, std::to_string(pid), 0644, false);
}

Result<void> create(Store& store, const CreateOptions& options) {
  std::string text;
  BERTH_ASSIGN(const oci::Spec spec, usable_spec(options, true, text));
  BERTH_TRY(store.reserve(options.id, text));
  auto work = [&]() -> Result<void> {
    BERTH_ASSIGN(Made made, make(store, options, spec, true));
    if (!options.console_socket.empty())
      BERTH_TRY(send_terminal(options.console_socket, made.launched->take_terminal().get()));
    made.launched->detach();
    return {};
  };
  auto done = work();
  if (!done) (void)store.forget(options.id);
  return done;
}

Result<void> start(Store& store, const std::string& id) {
  BERTH_ASSIGN(const State state, store.load(id));
  if (status_of(store, state) != Status::created)
    return Error{EINVAL, "start", id, std::string("cannot start a container in the ") +
                                          status_name(status_of(store, state)) + " state"};
  BERTH_ASSIGN(const oci::Spec spec, store.spec(id));
  BERTH_ASSIGN(UniqueFd connection, connect_to(store.start_socket(id)));
  container::Sync sync(std::move(connection));
  BERTH_TRY(sync.send(container::Message::go));
  BERTH_ASSIGN(const container::Received received, sync.receive());
  if (!received.end) return Error{EPROTO, "start", id, "unexpected answer"};
  ::unlink(store.start_socket(id).c_str());
  const std::string text = container::state_json(spec, id, state.bundle, "running", state.pid);
  auto hooked = container::run_hooks(spec.hooks.poststart, text, "poststart", state.bundle);
  // The runtime-spec: an error, and the container is stopped and deleted.
  if (!hooked) (void)remove(store, id, true);
  return hooked;
}

Result<Running> run(Store& store, const CreateOptions& options) {
  std::string text;
  BERTH_ASSIGN(const oci::Spec spec, usable_spec(options, false, text));
  BERTH_TRY(store.reserve(options.id, text));
  auto work = [&]() -> Result<Running> {
    BERTH_ASSIGN(Made made, make(store, options, spec, false));
    Running running;
    running.terminal = made.launched->take_terminal();
    running.pid = made.state.pid;
    running.pidfd.reset(::fcntl(made.launched->pidfd(), F_DUPFD_CLOEXEC, 3));
    if (!options.console_socket.empty()) {
      BERTH_TRY(send_terminal(options.console_socket, running.terminal.get()));
      running.terminal.reset();
    }
    BERTH_TRY(made.launched->release());
    const std::string state = container::state_json(spec, options.id, options.bundle, "running", running.pid);
    if (auto hooked = container::run_hooks(spec.hooks.poststart, state, "poststart", options.bundle); !hooked) {
      (void)remove(store, options.id, true);
      return hooked.error();
    }
    return running;
  };
  auto done = work();
  if (!done) (void)store.forget(options.id);
  return done;
}

}  // namespace berth::lifecycle
