// Container output to json-file records, `{"log":"…\n","stream":"stdout","time":"…"}` one a line, as Docker writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "monitor/time_text.h"

namespace berth::monitor {

/// Longest piece of a line in one record, in bytes. A longer line becomes several records; only the last ends in \n.
inline constexpr size_t kMaxLogPiece = 16384;
/// Longest text of a container's log attributes, in bytes.
inline constexpr size_t kMaxLogAttributes = 64u << 10;
/// Most bytes a record takes.
inline constexpr size_t kMaxLogRecord = kMaxLogPiece * 6 + 160 + kMaxLogAttributes;
/// A compact record is size (uint32, of the content alone), flags (a byte: 1 stderr, 2 the line goes on in the next record),
/// time (int64, ns since the epoch), content (with its newline, if it ends the line), size again. Numbers are little-endian.
inline constexpr size_t kCompactOverhead = 17;
inline constexpr unsigned char kCompactStderr = 1;
inline constexpr unsigned char kCompactGoesOn = 2;

/// Where records go. One record is written to reserve()'s memory, then commit()ted: so a file never holds half of one.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  /// At least kMaxLogRecord free bytes.
  virtual char* reserve() = 0;
  virtual void commit(size_t size) = 0;
};

/// One stream's state: the beginning of a line whose end has not been read yet is kept here, at most kMaxLogPiece bytes.
class LineEncoder {
 public:
  /// `attributes`: a JSON object's text for every record, or "". `compact`: the other format (log_files.h).
  LineEncoder(const char* stream, RecordSink* sink, std::string attributes = "", bool compact = false);

  /// Encodes what was read at `time_ns`; whole lines become records at once.
  void append(const char* data, size_t size, int64_t time_ns);
  /// End of the stream: what is left becomes a record without \n.
  void finish(int64_t time_ns);
  /// Gives back memory that holds nothing.
  void trim() { rest_.shrink_to_fit(); }
  /// The beginning of a line that has no record yet.
  [[nodiscard]] const std::string& pending() const { return rest_; }

 private:
  void emit(const char* data, size_t size, bool whole);
  void emit_compact(const char* data, size_t size, bool whole);
  void prepare(int64_t time_ns);
  void build_tail(std::string& out, std::string_view time, bool newline) const;
  /// Adds to the kept beginning of a line; gives how many bytes were used.
  size_t complete_rest(const char* data, size_t size);

  const char* stream_;
  RecordSink* sink_;
  std::string attributes_;
  bool compact_;
  TimeFormatter formatter_;
  std::string rest_;
  std::string tail_;     // what ends a record of this batch: `\n","stream":…}` and newline
  std::string partial_;  // the same of a partial record; its time is that of the line's first piece
  bool in_partial_ = false;
  int64_t partial_time_ = 0;
  int64_t tail_time_ = INT64_MIN;
};

}  // namespace berth::monitor
