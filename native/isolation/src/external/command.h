// One call of another OCI runtime's command line (github.com/opencontainers/runtime-tools, docs/command-line-interface.md).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth::external {

/// The program as the operator has configured it.
struct Runtime {
  std::string path;               // absolute
  std::vector<std::string> args;  // before the global options of every call
  std::string root;               // where it keeps the state of its containers (--root)
};

/// What the called program gets as its standard streams; -1: /dev/null, and for `err` a pipe whose text is kept for an error.
struct Streams {
  int in = -1, out = -1, err = -1;
};

struct Call {
  std::vector<std::string> words;  // the subcommand and what follows it
  std::string log;                 // a file for --log, replaced
  Streams streams;
  int64_t timeout_ms = 0;
  int oom_score_adj = 0;  // of the program, for what it does not set itself
  /// Runs in the new process, which has a mount namespace of its own, before the program; an Error is given back as it is.
  std::function<Result<void>()> prepare;
  /// A descriptor that is looked at while the program runs, and what is done once when it can be read; -1: none.
  int watched = -1;
  std::function<void()> on_readable;
};

/// Runs it to its end; nothing else of the caller happens meanwhile. An Error of `prepare`, or one whose `call` is "runtime" and
/// whose `detail` is the runtime's own last error (in containerd's words where it has left none).
Result<void> call(const Runtime& runtime, const Call& call);

/// The exit code that clients expect of a container or exec that failed with this text of a runtime: 126, 127 or 128 (moby
/// 28.5, daemon/errors.go).
int exit_code_of_text(const std::string& text);

/// The last error in a runtime's log of JSON lines; empty if there is none.
std::string last_error(const std::string& log);

}  // namespace berth::external
