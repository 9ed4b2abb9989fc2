// The container's log file: large appends, rotation between two records, nothing kept back once the streams are silent.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "monitor/log_encoder.h"
#include "monitor/log_files.h"
#include "monitor/scratch.h"

namespace berth::monitor {

class LogWriter final : public RecordSink {
 public:
  LogWriter(LogOptions options, Scratch* scratch);

  /// Opens or continues the file; a record that a crash tore at its end is cut off.
  Result<void> open();
  /// Encodes output of stream 1 (stdout) or 2 (stderr). Reaches the file with the next flush() at the latest.
  void append(int stream, const char* data, size_t size);
  /// Writes what is buffered. A full disk loses whole records, never stops the container, and is told in the log as soon as
  /// there is room again.
  void flush();
  /// End of a stream: an unfinished line is written.
  void finish(int stream);
  void trim();
  [[nodiscard]] uint64_t lost_bytes() const { return lost_; }

  /// True: nothing more is to be read until shipped() tells that there is room (option `hold`).
  [[nodiscard]] bool blocked() const { return files_.blocked(); }
  void shipped(uint64_t offset) { files_.shipped(offset); }
  bool reaped(pid_t pid, bool succeeded) { return files_.reaped(pid, succeeded); }
  /// {"file":"INODE:BIRTH_NS","offset":N}: where the log ends now, unfinished lines left out.
  std::string position_json();
  /// The unfinished line of a stream.
  [[nodiscard]] const std::string& pending(int stream) const { return (stream == 2 ? err_ : out_).pending(); }

  char* reserve() override;
  void commit(size_t size) override;

 private:
  void write_marker();

  LogOptions options_;
  LogFiles files_;
  Scratch* scratch_;
  size_t used_ = 0;
  uint64_t lost_ = 0;
  uint64_t untold_ = 0;  // of the lost bytes, those that no marker has told of
  LineEncoder out_, err_;
};

}  // namespace berth::monitor
