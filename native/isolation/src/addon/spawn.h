// Starting a program from a process as large as Node's, quickly.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth::addon {

struct Spawn {
  std::string file;  // absolute path, no search
  std::vector<std::string> args, env;
  std::vector<int> fds;  // become 3, 4, …
};

struct Spawned {
  int pid = 0;        // of the program itself, which has ended; whoever it left behind is nobody's child
  int exit_code = 0;  // 128+n when signal n killed it
};

/// Runs a program that puts itself into the background, and waits for its foreground part. stdin, stdout and stderr are
/// /dev/null, signals are as at boot, no other descriptor is passed on. A failed execve is an Error with its errno.
Result<Spawned> spawn_detached(const Spawn& spawn);

}  // namespace berth::addon
