// The container's log file: large appends, rotation between two records, nothing kept back once the streams are silent.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "monitor/log_encoder.h"
#include "monitor/scratch.h"

namespace berth::monitor {

struct LogOptions {
  std::string path;
  int64_t max_size = 0;  // bytes; 0: no rotation
  int max_files = 1;     // the current one counted
};

class LogWriter final : public RecordSink {
 public:
  LogWriter(LogOptions options, Scratch* scratch);

  /// Opens or continues the file; a record that a crash tore at its end is cut off.
  Result<void> open();
  /// Encodes output of stream 1 (stdout) or 2 (stderr). Reaches the file with the next flush() at the latest.
  void append(int stream, const char* data, size_t size);
  /// Writes what is buffered. A full disk loses whole records and is counted, it never stops the container.
  void flush();
  /// End of a stream: an unfinished line is written.
  void finish(int stream);
  void trim();
  [[nodiscard]] uint64_t lost_bytes() const { return lost_; }

  char* reserve() override;
  void commit(size_t size) override;

 private:
  Result<void> open_file(int extra_flags);
  void cut_torn_record();
  void rotate();
  std::string numbered(int n) const { return options_.path + "." + std::to_string(n); }

  LogOptions options_;
  Scratch* scratch_;
  UniqueFd file_;
  int64_t file_size_ = 0;
  size_t used_ = 0;
  uint64_t lost_ = 0;
  LineEncoder out_, err_;
};

}  // namespace berth::monitor
