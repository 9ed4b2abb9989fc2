// From a container's log file to what the Engine API sends: json-file lines as Docker writes them, or the monitor's compact records
// (PROTOCOL.md, "The log's files"), become output with or without frames, times and details.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::logs {

struct FormatOptions {
  bool compact = false;
  bool out = true, err = true;
  bool timestamps = false, details = false;
  /// Frames (Engine API, "Stream format"); raw for a terminal.
  bool framed = true;
  /// Times with nine digits of a second ("2026-01-02T03:04:05.000000006Z"), which sort as text; empty: no bound.
  std::string since, until;
};

/// Longer than any record the monitor writes: it is no log.
constexpr size_t kMaxRecord = 1 << 20;

/// bytes of the record at the front, its end included; 0: it is not whole yet; -1: what is there is none.
int64_t record_size(std::string_view bytes, bool compact);

/// Appends formatted records to `out`.
class Formatter {
 public:
  explicit Formatter(const FormatOptions& options) : options_(options) {}
  /// One whole record. What is none (a torn last line after a power cut) is left out.
  void add(std::string_view record, std::string& out);
  /// A record later than `until` has been seen: nothing more is wanted.
  [[nodiscard]] bool past() const { return past_; }

 private:
  void add_compact(std::string_view record, std::string& out);
  void add_line(std::string_view line, std::string& out);
  bool add_usual_line(std::string_view line, std::string& out);
  bool wanted(bool is_error) const { return is_error ? options_.err : options_.out; }
  bool in_range(std::string_view time);
  /// Whatever stands before a record's content; gives where its frame begins.
  size_t begin(bool is_error, std::string_view time, std::string_view details, std::string& out) const;
  void end(size_t frame, std::string& out) const;
  std::string_view stamp(int64_t nano);

  const FormatOptions& options_;
  bool past_ = false;
  int64_t second_ = -1;
  std::string stamp_;
};

}  // namespace berth::logs
