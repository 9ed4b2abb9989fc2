// Counters as JSON: what stats answers beyond single numbers.
#include "monitor/answer.h"

namespace berth::monitor {

std::string list_json(const std::vector<uint64_t>& values) {
  std::string text = "[";
  for (const uint64_t value : values) {
    if (text.size() > 1) text += ',';
    text += std::to_string(value);
  }
  return text + "]";
}

std::string details_json(const std::vector<std::pair<std::string, uint64_t>>& details) {
  JsonLine line;
  for (const auto& [key, value] : details) line.counter(key, value);
  return line.done();
}

std::string io_json(const std::vector<cgroup::IoEntry>& entries) {
  std::string text = "[";
  for (const auto& entry : entries) {
    if (text.size() > 1) text += ',';
    JsonLine line;
    line.counter("major", entry.major).counter("minor", entry.minor).text("op", entry.op).counter("value", entry.value);
    text += line.done();
  }
  return text + "]";
}

}  // namespace berth::monitor
