// The OCI operations, as the runtime-spec's "Lifecycle" has them, on containers kept in a Store.
#pragma once

#include <memory>
#include <string>

#include "container/launch.h"
#include "lifecycle/state.h"

namespace berth::lifecycle {

struct CreateOptions {
  std::string id;
  std::string bundle;          // absolute
  std::string config;          // the document; empty: BUNDLE/config.json
  std::string pid_file;        // empty: none
  std::string console_socket;  // unix socket that is sent the pty's master
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool systemd_cgroup = false;
  unsigned preserve_fds = 0;
};

/// Makes the container; its process waits for start(). Nothing is left behind on failure.
Result<void> create(Store& store, const CreateOptions& options);
Result<void> start(Store& store, const std::string& id);
/// `all` signals every process of the container.
Result<void> kill(Store& store, const std::string& id, int signal, bool all);
/// Gives everything back. A container that is not stopped is refused, or killed with `force`.
Result<void> remove(Store& store, const std::string& id, bool force);
Result<void> pause(Store& store, const std::string& id);
Result<void> resume(Store& store, const std::string& id);
Result<void> update(Store& store, const std::string& id, const oci::Resources& resources);
Result<std::vector<pid_t>> processes(Store& store, const std::string& id);

/// Creates and starts in one, as the caller's child; the terminal's master is given back (invalid without one).
struct Running {
  pid_t pid = 0;
  UniqueFd pidfd;
  UniqueFd terminal;
};
Result<Running> run(Store& store, const CreateOptions& options);

struct ExecRequest {
  std::string id;
  oci::Process process;
  std::string user;
  std::string pid_file;
  bool detach = false;
  unsigned preserve_fds = 0;
  std::string cgroup;  // below the container's own; empty: that itself
};
Result<Running> exec(Store& store, const ExecRequest& request);

/// "9", "KILL", "SIGKILL", "RTMIN+1".
Result<int> signal_number(const std::string& text);

/// Writes a pid to a file, whole or not at all.
Result<void> write_pid_file(const std::string& path, pid_t pid);
/// Hands a descriptor over a unix stream socket, as the runc console-socket protocol has it.
Result<void> send_terminal(const std::string& socket_path, int fd);

/// linux.cgroupsPath as a path: with `systemd`, "slice:prefix:name" becomes /SLICE/prefix-name.scope.
Result<std::string> cgroup_path(const oci::Spec& spec, const std::string& id, bool systemd);

}  // namespace berth::lifecycle
