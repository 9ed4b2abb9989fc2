// The command line's words. Each takes what follows its name and gives the exit code.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/args.h"
#include "lifecycle/lifecycle.h"

namespace berth::cli {

struct Globals {
  std::string root;
  bool systemd_cgroup = false;
};

using Words = std::vector<std::string>;

Result<int> create(const Globals& globals, const Words& words);
Result<int> run(const Globals& globals, const Words& words);
Result<int> start(const Globals& globals, const Words& words);
Result<int> state(const Globals& globals, const Words& words);
Result<int> kill(const Globals& globals, const Words& words);
Result<int> remove(const Globals& globals, const Words& words);
Result<int> list(const Globals& globals, const Words& words);
Result<int> exec(const Globals& globals, const Words& words);
Result<int> ps(const Globals& globals, const Words& words);
Result<int> pause(const Globals& globals, const Words& words);
Result<int> resume(const Globals& globals, const Words& words);
Result<int> update(const Globals& globals, const Words& words);
Result<int> spec(const Globals& globals, const Words& words);
Result<int> features(const Globals& globals, const Words& words);

/// The one word that a command takes.
Result<std::string> only_id(const Args& args);
/// The current directory, or `path` made absolute.
Result<std::string> absolute_path(const std::string& path);
/// Writes to stdout.
void print(const std::string& text);

/// Passes signals (and, with a terminal, bytes and sizes) on until the process ends; its exit code, 128+n for a signal.
Result<int> attend(lifecycle::Running& running);

}  // namespace berth::cli
