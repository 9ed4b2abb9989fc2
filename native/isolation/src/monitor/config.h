// monitor.json: what the monitor needs beside the OCI bundle.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/launch.h"
#include "external/command.h"
#include "monitor/log_writer.h"

namespace berth::monitor {

struct Config {
  std::string id;
  std::string exit_file;          // absolute
  std::optional<LogOptions> log;  // none: no log is kept
  std::vector<container::RootfsMount> rootfs_mounts;
  std::vector<container::StagedMount> staged_mounts;
  std::string user;
  std::vector<std::string> groups;  // of every process, names or numbers
  bool stdin_open = false;
  bool stdin_once = false;
  uint16_t rows = 0, cols = 0;
  std::optional<external::Runtime> runtime;  // none: our own
  bool default_seccomp = false;  // config.json names no profile: the built-in one
};

Result<Config> parse_config(std::string_view json);
/// Reads BUNDLE/monitor.json.
Result<Config> load_config(const std::string& bundle);

}  // namespace berth::monitor
