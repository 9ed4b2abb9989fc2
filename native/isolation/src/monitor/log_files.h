// The files of a container's log: the current one, the rotated ones behind it (`.1` is the newest), and their compression.
//
// Two formats. Docker's json-file has a JSON object a line. The compact one (ours; drivers local and all that send logs
// away) starts with a header of kCompactHeader bytes, "BERTHLG1" and the log's length before this file as a little-endian
// uint64, so that a place in the log is one number over all rotations. See PROTOCOL.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::monitor {

inline constexpr size_t kCompactHeader = 16;

struct LogOptions {
  std::string path;
  int64_t max_size = 0;  // bytes; 0: no rotation
  int max_files = 1;     // the current one counted
  bool compress = false;  // rotated files, by gzip
  bool compact = false;   // the format
  bool hold = false;      // wait for `shipped` rather than drop what has not been sent away
  std::string attributes = {};  // a JSON object's text, put into every json-file record
};

class LogFiles {
 public:
  explicit LogFiles(LogOptions options) : options_(std::move(options)) {}
  ~LogFiles();
  LogFiles(const LogFiles&) = delete;
  LogFiles& operator=(const LogFiles&) = delete;

  /// Opens or continues the current file; a record that a crash tore at its end is cut off.
  Result<void> open();
  /// Appends; false when not everything could be written: nothing torn is left behind then.
  bool write(const char* data, size_t size, size_t& written);
  [[nodiscard]] int64_t size() const { return size_; }
  /// True when `more` bytes, after `buffered` ones that are still to be written, belong into a new file.
  [[nodiscard]] bool is_full(int64_t buffered, int64_t more) const;
  void rotate();

  /// With `hold`: full, and the oldest file has not been sent away.
  [[nodiscard]] bool blocked() const;
  void shipped(uint64_t offset) { shipped_ = offset; }
  /// Identity of the current file: inode and time of birth in ns, as `stat` tells them.
  [[nodiscard]] std::string identity() const;

  /// True if `pid` was the compressor.
  bool reaped(pid_t pid, bool succeeded);

 private:
  Result<void> open_current(int extra_flags);
  void write_header(uint64_t base);
  void find_bases();
  void cut_torn_record();
  [[nodiscard]] int64_t end_of_lines() const;
  [[nodiscard]] int64_t end_of_records() const;
  void shift();
  void compress_next();
  [[nodiscard]] bool drops_unshipped() const;
  [[nodiscard]] std::string numbered(int n) const { return options_.path + "." + std::to_string(n); }
  [[nodiscard]] std::string temporary() const { return options_.path + ".gz.tmp"; }

  LogOptions options_;
  UniqueFd file_;
  int64_t size_ = 0;
  uint64_t base_ = 0;
  uint64_t shipped_ = 0;
  std::deque<uint64_t> ends_;  // of the rotated files, oldest first
  pid_t compressor_ = -1;
  ino_t compressing_ = 0;
};

}  // namespace berth::monitor
