#include "monitor/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "monitor/log_compress.h"
#include "monitor/log_encoder.h"

namespace berth::monitor {

namespace {

constexpr char kMagic[] = "BERTHLG1";

uint64_t get_u64(const unsigned char* at) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | at[i];
  return value;
}

uint32_t get_u32(const unsigned char* at) {
  return at[0] | at[1] << 8 | at[2] << 16 | static_cast<uint32_t>(at[3]) << 24;
}

/// The length of the log before this file; false when it is none of ours.
bool read_base(int fd, uint64_t& base) {
  unsigned char header[kCompactHeader];
  if (pread(fd, header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return false;
  if (std::memcmp(header, kMagic, 8) != 0) return false;
  base = get_u64(header + 8);
  return true;
}

std::string identity_of(int fd) {
  struct statx status {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) != 0) return "0:0";
  const int64_t born = status.stx_btime.tv_sec * int64_t{1000000000} + status.stx_btime.tv_nsec;
  return std::to_string(status.stx_ino) + ":" + std::to_string(born);
}

}  // namespace

LogFiles::~LogFiles() {
  if (compressor_ <= 0) return;
  // What it has done so far is done again by the next run.
  kill(compressor_, SIGKILL);
  waitpid(compressor_, nullptr, 0);
  unlink(temporary().c_str());
}

Result<void> LogFiles::open() {
  unlink(temporary().c_str());
  BERTH_TRY(open_current(0));
  if (options_.compact) find_bases();
  cut_torn_record();
  if (options_.compact && size_ < static_cast<int64_t>(kCompactHeader)) write_header(ends_.empty() ? 0 : ends_.back());
  return {};
}

Result<void> LogFiles::open_current(int extra_flags) {
  // O_APPEND: a log truncated by hand goes on at its new end, not with a hole before it.
  UniqueFd file(::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | extra_flags, 0640));
  if (!file) return sys_error("open", options_.path);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return sys_error("fstat", options_.path);
  if (!S_ISREG(status.st_mode)) return Error{EINVAL, "open", options_.path, "not a regular file"};
  file_ = std::move(file);
  size_ = status.st_size;
  return {};
}

void LogFiles::write_header(uint64_t base) {
  base_ = base;
  unsigned char header[kCompactHeader];
  std::memcpy(header, kMagic, 8);
  for (size_t i = 0; i < 8; i++) header[8 + i] = static_cast<unsigned char>(base >> (8 * i));
  size_ = 0;
  if (ftruncate(file_.get(), 0) == 0 && ::write(file_.get(), header, sizeof header) == static_cast<ssize_t>(sizeof header))
    size_ = kCompactHeader;
}

void LogFiles::find_bases() {
  ends_.clear();
  for (int n = options_.max_files - 1; n > 0; n--) {
    const UniqueFd plain(::open(numbered(n).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    uint64_t base = 0;
    struct stat status {};
    if (plain && read_base(plain.get(), base) && fstat(plain.get(), &status) == 0)
      ends_.push_back(base + static_cast<uint64_t>(status.st_size));
    else if (const uint64_t end = end_of_compressed(numbered(n) + ".gz"); end > 0)
      ends_.push_back(end);
  }
  if (!read_base(file_.get(), base_)) {
    size_ = 0;  // nothing of ours: begun anew
    base_ = ends_.empty() ? 0 : ends_.back();
  }
}

// ---- writing

bool LogFiles::write(const char* data, size_t size, size_t& written) {
  const int64_t before = size_;
  written = 0;
  while (written < size) {
    const ssize_t count = ::write(file_.get(), data + written, size - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<size_t>(count);
    size_ += count;
  }
  if (written == size) return true;
  // Full disk or quota. The torn record is cut off so that the file stays readable.
  if (options_.compact) {
    if (ftruncate(file_.get(), before) == 0) size_ = before;
    written = 0;
  } else {
    cut_torn_record();
    written = static_cast<size_t>(std::max<int64_t>(0, size_ - before));
  }
  return false;
}

void LogFiles::cut_torn_record() {
  if (size_ == 0) return;
  const int64_t good = options_.compact ? end_of_records() : end_of_lines();
  if (good >= 0 && good < size_ && ftruncate(file_.get(), good) == 0) size_ = good;
}

int64_t LogFiles::end_of_lines() const {
  // A monitor killed inside write() leaves the start of a record; it is shorter than the longest record.
  std::string tail(kMaxLogRecord, '\0');
  const int64_t from = std::max<int64_t>(0, size_ - static_cast<int64_t>(tail.size()));
  const ssize_t got = pread(file_.get(), tail.data(), tail.size(), from);
  if (got <= 0 || tail[static_cast<size_t>(got) - 1] == '\n') return -1;
  const size_t newline = tail.rfind('\n', static_cast<size_t>(got) - 1);
  if (newline != std::string::npos) return from + static_cast<int64_t>(newline) + 1;
  return from > 0 ? -1 : 0;  // -1: not a log of ours, leave it
}

int64_t LogFiles::end_of_records() const {
  // From record to record; only after a crash does this find something, and a file is at most max_size long.
  std::string block(1u << 20, '\0');
  int64_t at = kCompactHeader;
  while (at < size_) {
    const ssize_t got = pread(file_.get(), block.data(), block.size(), at);
    if (got <= 0) return at;
    const auto* bytes = reinterpret_cast<const unsigned char*>(block.data());
    size_t used = 0;
    while (used + kCompactOverhead <= static_cast<size_t>(got)) {
      const size_t size = get_u32(bytes + used);
      if (size > kMaxLogPiece + 1) return at + static_cast<int64_t>(used);
      if (used + size + kCompactOverhead > static_cast<size_t>(got)) break;
      if (get_u32(bytes + used + size + kCompactOverhead - 4) != size) return at + static_cast<int64_t>(used);
      used += size + kCompactOverhead;
    }
    if (used == 0) return at;
    at += static_cast<int64_t>(used);
  }
  return at;
}

// ---- rotation

bool LogFiles::is_full(int64_t buffered, int64_t more) const {
  const int64_t empty = options_.compact ? static_cast<int64_t>(kCompactHeader) : 0;
  const int64_t total = size_ + buffered;
  return options_.max_size > 0 && total > empty && total + more > options_.max_size && !drops_unshipped();
}

bool LogFiles::drops_unshipped() const {
  if (!options_.hold) return false;
  const uint64_t end = base_ + static_cast<uint64_t>(size_);
  if (options_.max_files == 1) return shipped_ < end;
  return ends_.size() >= static_cast<size_t>(options_.max_files) - 1 && shipped_ < ends_.front();
}

bool LogFiles::blocked() const { return options_.hold && options_.max_size > 0 && size_ >= options_.max_size && drops_unshipped(); }

void LogFiles::shift() {
  const int oldest = options_.max_files - 1;
  unlink(numbered(oldest).c_str());
  unlink((numbered(oldest) + ".gz").c_str());
  for (int n = oldest; n > 1; n--) {
    rename(numbered(n - 1).c_str(), numbered(n).c_str());
    if (options_.compress) rename((numbered(n - 1) + ".gz").c_str(), (numbered(n) + ".gz").c_str());
  }
  rename(options_.path.c_str(), numbered(1).c_str());
}

void LogFiles::rotate() {
  const uint64_t end = base_ + static_cast<uint64_t>(size_);
  if (options_.max_files > 1) {
    shift();
    ends_.push_back(end);
    while (ends_.size() > static_cast<size_t>(options_.max_files) - 1) ends_.pop_front();
  }
  // If no new file can be made (no inode left), the old one simply grows on.
  const Result<void> opened = open_current(options_.max_files > 1 ? 0 : O_TRUNC);
  if (!opened.ok())
    size_ = 0;
  else if (options_.compact)
    write_header(end);
  if (options_.compress) compress_next();
}

std::string LogFiles::identity() const { return identity_of(file_.get()); }

// ---- compression

void LogFiles::compress_next() {
  if (compressor_ > 0) return;
  for (int n = options_.max_files - 1; n > 0; n--) {
    UniqueFd source(::open(numbered(n).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!source) continue;
    struct stat status {};
    if (fstat(source.get(), &status) != 0) continue;
    uint64_t base = 0;
    const uint64_t end = options_.compact && read_base(source.get(), base) ? base + static_cast<uint64_t>(status.st_size) : 0;
    const std::string comment = identity_of(source.get()) + ":" + std::to_string(end);
    UniqueFd target(::open(temporary().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!target) return;
    compressor_ = start_compressor(source.get(), target.get(), comment);
    compressing_ = status.st_ino;
    return;
  }
}

bool LogFiles::reaped(pid_t pid, bool succeeded) {
  if (pid != compressor_ || pid <= 0) return false;
  compressor_ = -1;
  bool placed = false;
  // It may have been rotated on since.
  for (int n = 1; succeeded && !placed && n < options_.max_files; n++) {
    struct stat status {};
    if (lstat(numbered(n).c_str(), &status) != 0 || status.st_ino != compressing_) continue;
    placed = rename(temporary().c_str(), (numbered(n) + ".gz").c_str()) == 0;
    if (placed) unlink(numbered(n).c_str());
  }
  if (!placed) unlink(temporary().c_str());
  if (succeeded) compress_next();
  return true;
}

}  // namespace berth::monitor
