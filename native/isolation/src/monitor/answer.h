// The lines that the monitor writes: answers, events, the exit record.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroup/cgroup.h"

namespace berth::monitor {

/// Builds one flat JSON object; keys are written as they are.
class JsonLine {
 public:
  JsonLine& text(std::string_view key, std::string_view value);
  JsonLine& number(std::string_view key, int64_t value);
  JsonLine& counter(std::string_view key, uint64_t value);
  JsonLine& boolean(std::string_view key, bool value);
  /// `value` is JSON already.
  JsonLine& raw(std::string_view key, std::string_view value);
  /// The object, closed. The builder is done with.
  std::string done();

 private:
  void key(std::string_view key);
  std::string text_ = "{";
};

/// "[1,2]", `{"key":1}` and `[{"major":8,"minor":0,"op":"Read","value":1}]`, for raw().
std::string list_json(const std::vector<uint64_t>& values);
std::string details_json(const std::vector<std::pair<std::string, uint64_t>>& details);
std::string io_json(const std::vector<cgroup::IoEntry>& entries);

/// "ENOENT" for an errno value.
std::string errno_name(int code);

/// `{"ok":false,"error":{…}}`; with exit_code >= 0 also `"exitCode"`.
std::string error_line(const Error& error, int exit_code = -1);

/// How a process ended, from waitid().
struct ExitStatus {
  int exit_code = 0;  // 128 + signal if killed by one
  int signal = 0;
};

struct ExitRecord {
  ExitStatus status;
  bool oom_killed = false;
  int64_t started_ns = 0;   // 0: never
  int64_t finished_ns = 0;
  std::string error;
};

/// The exit record as exit.json holds it; with `event`, as a subscriber gets it.
std::string exit_record_json(const ExitRecord& record, bool event);
/// Durable before it returns: temporary, fsync, rename, fsync of the directory.
Result<void> write_exit_record(const std::string& path, const ExitRecord& record);

}  // namespace berth::monitor
