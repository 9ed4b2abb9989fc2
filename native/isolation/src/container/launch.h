// Making a container's first process, and more processes inside it. Used by the OCI command line and by the monitor.
//
// Life story: launch() makes cgroup, namespaces and rootfs and stops the new process just before execve(); release()
// lets it go and says whether execve worked. A Launched that is destroyed unreleased kills its process and removes its
// cgroup. exec() joins a running container the same way.
//
// The caller must be single-threaded (the new process is made by clone3 without fork handlers) and becomes the parent of
// the first process: it reaps it. Nothing but the returned objects stays open in the caller.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "cgroup/cgroup.h"

namespace berth::oci {
struct Spec;
struct Process;
}  // namespace berth::oci

namespace berth::seccomp {
struct Program;
}

namespace berth::container {

/// A mount that makes up the root file system; made inside the container's own mount namespace, so that none is ever
/// seen or leaked on the host. `source` may be empty; `options` are mount(8) words ("lowerdir=a:b", "ro").
struct RootfsMount {
  std::string type;
  std::string source;
  std::vector<std::string> options;
  /// Directory that relative paths inside the options are taken from (keeps lowerdir lists below a page); may be empty.
  std::string base;
};

/// A mount that is a source for binds of config.json: made at BUNDLE/`at`, an empty directory, and never seen by the container itself.
struct StagedMount {
  std::string at;
  RootfsMount mount;
};

/// The three ends that the process gets; ignored with a terminal, where a pty is made instead.
struct Stdio {
  UniqueFd in, out, err;
};

struct LaunchOptions {
  std::string id;
  std::string bundle;                      // absolute
  std::vector<RootfsMount> rootfs_mounts;  // empty: root.path as it is, as OCI says
  std::vector<StagedMount> staged_mounts;  // not with a user namespace
  std::string user;  // "name|uid[:group|gid]" looked up inside the rootfs; empty: process.user as it is. For Docker's
                     // default pass "0": root with the groups that the image's /etc/group gives it
  std::vector<std::string> groups;  // more groups of the process, names or numbers, looked up likewise
  Stdio stdio;
  uint16_t rows = 0, cols = 0;  // 0: process.consoleSize
  /// The process is killed when the calling process ends (the monitor). Off for `create`, whose caller goes away.
  bool die_with_parent = true;
  bool no_pivot = false;       // MS_MOVE + chroot, for hosts that run from an initramfs
  bool new_keyring = true;     // a session keyring of its own, so that the host's keys are out of sight
  unsigned preserve_fds = 0;   // descriptors 3 .. 3+n-1 stay open in the container
  std::string cgroup_path;     // empty: linux.cgroupsPath, or /berth/ID
  /// A listening unix socket: the process waits for a connection there instead of for release(), and answers it with
  /// nothing (execve worked) or an error. Then launch()'s caller may go away ("create", later "start").
  UniqueFd start_socket;
  bool run_hooks = false;      // the OCI hooks up to startContainer; the command line's business
};

/// Why the user's program can't run (an Error whose call is "exec", from launch(), exec() or release()), as an exit code:
/// 127 not found, 126 not executable.
int exit_code_of_exec_failure(const Error& error);

class Launched {
 public:
  virtual ~Launched() = default;
  virtual pid_t pid() const = 0;
  virtual int pidfd() const = 0;
  /// The pty's master if process.terminal, else invalid. The caller owns it.
  virtual UniqueFd take_terminal() = 0;
  virtual cgroup::Cgroup* cgroup() = 0;
  /// Lets the process execve. An Error whose call is "exec" is the user program's (see exit_code_of_exec_failure); a
  /// program that can't be found is told by launch() and exec() already, in the same way.
  virtual Result<void> release() = 0;
  /// With a start_socket: forgets the process without killing it (`create` has done its work).
  virtual void detach() = 0;
};

/// `spec` is only read during the call. Error texts about an unknown user or group are Docker's.
Result<std::unique_ptr<Launched>> launch(const oci::Spec& spec, LaunchOptions options);

/// A compiled seccomp filter, or nothing yet.
using SeccompFilter = std::shared_ptr<const seccomp::Program>;

struct ExecOptions {
  pid_t container_pid = 0;       // the first process, whose namespaces are joined
  std::string cgroup_path;       // joined before setns
  cgroup::Cgroup* group = nullptr;  // the group of that path, where the caller has it open already
  SeccompFilter* filter = nullptr;  // of `spec`, kept by the caller from one exec to the next: compiling it takes a while
  bool at_once = false;             // the process does not wait for release(), which still says how its execve went
  const oci::Spec* spec = nullptr;  // the container's own: seccomp, masked defaults; may be null
  bool privileged = false;          // all capabilities; a filter of the container stays
  std::string user;              // as in LaunchOptions
  std::vector<std::string> groups;
  Stdio stdio;
  uint16_t rows = 0, cols = 0;
  bool die_with_parent = true;
  bool new_keyring = true;
  unsigned preserve_fds = 0;
};

/// A process inside a running container, stopped before execve like launch(). cgroup() is null.
Result<std::unique_ptr<Launched>> exec(const oci::Process& process, ExecOptions options);

}  // namespace berth::container
