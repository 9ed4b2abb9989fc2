// Request lines to plain data; see PROTOCOL.md. Bad input gives EINVAL naming the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "monitor/process_io.h"
#include "oci/spec.h"

namespace berth::monitor {

enum class Operation { state, attach, exec, resize, kill, pause, resume, update, stats, subscribe, log_shipped };

struct Request {
  Operation operation = Operation::state;
  std::string_view line;            // as it came; as long as parse_request's argument lives
  Wants wants;                      // attach, exec
  bool attached = false;            // exec: its connection becomes the stream
  std::optional<std::string> exec;  // attach, resize, kill: which exec; empty: the container's own process
  std::string id;                   // exec
  oci::Process process;             // exec
  std::string user;                 // exec
  bool privileged = false;          // exec
  uint16_t rows = 0, cols = 0;      // exec, resize; characters
  int signal = 0;                   // kill
  bool all = false;                 // kill
  bool tree = false;                // kill: with whatever the exec has started
  oci::Resources resources;         // update
  bool replay = false;              // attach: the log is shown first, so where it ends is asked for
  uint64_t offset = 0;              // log-shipped
};

/// `line` without its newline.
Result<Request> parse_request(std::string_view line);

}  // namespace berth::monitor
