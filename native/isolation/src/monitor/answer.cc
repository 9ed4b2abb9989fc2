#include "monitor/answer.h"

#include <cstring>

#include "base/file.h"
#include "monitor/json_escape.h"
#include "monitor/time_text.h"

namespace berth::monitor {

void JsonLine::key(std::string_view key) {
  if (text_.size() > 1) text_ += ',';
  text_ += '"';
  text_ += key;
  text_ += "\":";
}

JsonLine& JsonLine::text(std::string_view name, std::string_view value) {
  key(name);
  append_json_string(text_, value);
  return *this;
}

JsonLine& JsonLine::number(std::string_view name, int64_t value) { return raw(name, std::to_string(value)); }
JsonLine& JsonLine::counter(std::string_view name, uint64_t value) { return raw(name, std::to_string(value)); }
JsonLine& JsonLine::boolean(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }

JsonLine& JsonLine::raw(std::string_view name, std::string_view value) {
  key(name);
  text_ += value;
  return *this;
}

std::string JsonLine::done() {
  text_ += '}';
  return std::move(text_);
}

std::string errno_name(int code) {
  const char* name = strerrorname_np(code);
  return name != nullptr ? name : "E" + std::to_string(code);
}

std::string error_line(const Error& error, int exit_code) {
  JsonLine inner;
  inner.text("code", errno_name(error.code)).text("call", error.call).text("object", error.object);
  inner.text("message", error.message());
  JsonLine line;
  line.boolean("ok", false).raw("error", inner.done());
  if (exit_code >= 0) line.number("exitCode", exit_code);
  return line.done();
}

std::string exit_record_json(const ExitRecord& record, bool event) {
  JsonLine line;
  if (event) line.text("event", "exit");
  line.number("v", 1).number("exitCode", record.status.exit_code).number("signal", record.status.signal);
  line.boolean("oomKilled", record.oom_killed);
  line.text("startedAt", record.started_ns != 0 ? rfc3339(record.started_ns) : "");
  line.text("finishedAt", rfc3339(record.finished_ns)).text("error", record.error);
  return line.done();
}

Result<void> write_exit_record(const std::string& path, const ExitRecord& record) {
  return replace_file(path, exit_record_json(record, false) + "\n", 0600, true);
}

}  // namespace berth::monitor
