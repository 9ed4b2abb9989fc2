#include "monitor/log_writer.h"

#include <cstring>

namespace berth::monitor {

static_assert(Scratch::kLogSize >= 2 * kMaxLogRecord);

LogWriter::LogWriter(LogOptions options, Scratch* scratch)
    : options_(options),
      files_(std::move(options)),
      scratch_(scratch),
      out_("stdout", this, options_.attributes, options_.compact),
      err_("stderr", this, options_.attributes, options_.compact) {}

Result<void> LogWriter::open() { return files_.open(); }

void LogWriter::append(int stream, const char* data, size_t size) {
  (stream == 2 ? err_ : out_).append(data, size, realtime_ns());
}

void LogWriter::finish(int stream) {
  (stream == 2 ? err_ : out_).finish(realtime_ns());
  flush();
}

void LogWriter::trim() {
  out_.trim();
  err_.trim();
}

char* LogWriter::reserve() {
  if (Scratch::kLogSize - used_ < kMaxLogRecord) flush();
  scratch_->read_area();  // tells the scratch memory that it is in use
  return scratch_->log_area() + used_;
}

void LogWriter::commit(size_t size) {
  if (files_.is_full(static_cast<int64_t>(used_), static_cast<int64_t>(size))) {
    // The new record lies behind the buffered ones: write those, rotate, and move it to the front.
    char* const record = scratch_->log_area() + used_;
    flush();
    if (files_.is_full(0, static_cast<int64_t>(size))) files_.rotate();
    std::memmove(scratch_->log_area(), record, size);
  }
  used_ += size;
}

void LogWriter::flush() {
  if (used_ == 0) return;
  if (untold_ > 0) write_marker();
  const size_t size = std::exchange(used_, 0);
  size_t written = 0;
  if (files_.write(scratch_->log_area(), size, written)) return;
  lost_ += size - written;
  untold_ += size - written;
}

void LogWriter::write_marker() {
  struct Text final : RecordSink {
    char* reserve() override { return (bytes.resize(kMaxLogRecord), bytes.data()); }
    void commit(size_t size) override { bytes.resize(size); }
    std::string bytes;
  } text;
  LineEncoder encoder("stderr", &text, options_.attributes, options_.compact);
  const std::string line = "[berth: " + std::to_string(untold_) + " bytes of log were dropped: no space left on the disk]\n";
  encoder.append(line.data(), line.size(), realtime_ns());
  size_t written = 0;
  if (files_.write(text.bytes.data(), text.bytes.size(), written)) untold_ = 0;
}

std::string LogWriter::position_json() {
  flush();
  return "{\"file\":\"" + files_.identity() + "\",\"offset\":" + std::to_string(files_.size()) + "}";
}

}  // namespace berth::monitor
