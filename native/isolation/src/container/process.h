// From a process inside its namespaces to the user's program: terminal, credentials, security, execve. Shared by launch()
// and exec().
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "container/capabilities.h"
#include "container/launch.h"
#include "container/sync.h"
#include "oci/spec.h"

namespace berth::container {

struct ProcessPlan {
  const oci::Process& process;
  const oci::Seccomp* seccomp = nullptr;      // what to compile a filter from,
  const seccomp::Program* filter = nullptr;   // or the filter itself
  std::string user{};
  std::vector<std::string> groups{};
  Stdio* stdio = nullptr;
  uint16_t rows = 0, cols = 0;
  bool privileged = false;
  bool die_with_parent = true;
  bool new_keyring = true;
  bool first = false;  // the container's first process: gets /dev/console
  unsigned preserve_fds = 0;
  const oci::Personality* personality = nullptr;
  int proc = -1;  // the host's /proc (O_PATH)
  std::string keyring{};
  std::string seccomp_state{};  // told to the agent that listens
  const oci::MemoryPolicy* memory_policy = nullptr;
};

/// A process that is ready but for the last steps.
struct Prepared {
  std::vector<std::string> env;
  std::string program;  // absolute path to execve
  bool seccomp_loaded = false;
};

/// Makes the pty below `root`, hands the master over; the slave becomes stdio. Before the root is entered.
Result<UniqueFd> give_terminal(const ProcessPlan& plan, int root, Sync& sync);
/// Everything up to the look-up of the program.
Result<Prepared> prepare_process(const ProcessPlan& plan, UniqueFd terminal, const UniqueFd& seccomp_listener);
/// Seccomp if it is not loaded yet, then execve; gives the Error if that fails.
Error run_program(const ProcessPlan& plan, const Prepared& prepared, const UniqueFd& seccomp_listener);

/// Limits and the OOM score, written by the parent, which may do more than the process itself.
Result<void> set_limits(pid_t pid, const oci::Process& process);

/// Looks a program up as execvp would, in the caller's own root and with its own rights.
Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env);

}  // namespace berth::container
