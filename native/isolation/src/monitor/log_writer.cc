#include "monitor/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace berth::monitor {

static_assert(Scratch::kLogSize >= 2 * kMaxLogRecord);

LogWriter::LogWriter(LogOptions options, Scratch* scratch)
    : options_(std::move(options)), scratch_(scratch), out_("stdout", this), err_("stderr", this) {}

Result<void> LogWriter::open() {
  BERTH_TRY(open_file(0));
  cut_torn_record();
  return {};
}

Result<void> LogWriter::open_file(int extra_flags) {
  // O_APPEND: a log truncated by hand goes on at its new end, not with a hole before it.
  UniqueFd file(::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | extra_flags, 0640));
  if (!file) return sys_error("open", options_.path);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return sys_error("fstat", options_.path);
  if (!S_ISREG(status.st_mode)) return Error{EINVAL, "open", options_.path, "not a regular file"};
  file_ = std::move(file);
  file_size_ = status.st_size;
  return {};
}

void LogWriter::cut_torn_record() {
  if (file_size_ == 0) return;
  // A monitor killed inside write() leaves the start of a record; it is shorter than the longest record.
  std::string tail(kMaxLogRecord, '\0');
  const int64_t from = std::max<int64_t>(0, file_size_ - static_cast<int64_t>(tail.size()));
  const ssize_t got = pread(file_.get(), tail.data(), tail.size(), from);
  if (got <= 0 || tail[static_cast<size_t>(got) - 1] == '\n') return;
  const size_t newline = tail.rfind('\n', static_cast<size_t>(got) - 1);
  const int64_t good = newline == std::string::npos ? from : from + static_cast<int64_t>(newline) + 1;
  if (newline == std::string::npos && from > 0) return;  // not a log of ours: leave it
  if (ftruncate(file_.get(), good) == 0) file_size_ = good;
}

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
  const int64_t total = file_size_ + static_cast<int64_t>(used_);
  if (options_.max_size > 0 && total > 0 && total + static_cast<int64_t>(size) > options_.max_size) {
    // The new record lies behind the buffered ones: write those, rotate, and move it to the front.
    char* const record = scratch_->log_area() + used_;
    flush();
    rotate();
    std::memmove(scratch_->log_area(), record, size);
  }
  used_ += size;
}

void LogWriter::flush() {
  const char* data = scratch_->log_area();
  size_t left = std::exchange(used_, 0);
  while (left > 0) {
    const ssize_t written = ::write(file_.get(), data, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    data += written;
    left -= static_cast<size_t>(written);
    file_size_ += written;
  }
  if (left == 0) return;
  // Full disk or quota. Cut the torn record off so that the file stays readable, drop the rest, and go on.
  lost_ += left;
  cut_torn_record();
}

void LogWriter::rotate() {
  if (options_.max_files > 1) {
    for (int n = options_.max_files - 1; n > 1; n--) rename(numbered(n - 1).c_str(), numbered(n).c_str());
    rename(options_.path.c_str(), numbered(1).c_str());
  }
  // If no new file can be made (no inode left), the old one simply grows on.
  Result<void> opened = open_file(options_.max_files > 1 ? 0 : O_TRUNC);
  if (!opened.ok()) file_size_ = 0;
}

}  // namespace berth::monitor
