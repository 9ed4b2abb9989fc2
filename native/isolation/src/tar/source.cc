#include "tar/source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace berth::tar {
namespace {
Error cancelled() { return Error{ECANCELED, "read", "layer", {}}; }
}  // namespace

FileSource::FileSource(UniqueFd fd) : fd_(std::move(fd)) { ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL); }

Result<size_t> FileSource::read(std::span<uint8_t> into) {
  for (;;) {
    if (aborted_) return cancelled();
    const ssize_t count = ::read(fd_.get(), into.data(), into.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) return sys_error("read", "layer");
  }
}

Result<size_t> FollowSource::read(std::span<uint8_t> into) {
  uint64_t until = 0;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return aborted_ || complete_ || available_ > offset_; });
    if (aborted_) return cancelled();
    until = available_;
  }
  if (until == offset_) return size_t{0};
  const size_t want = std::min<uint64_t>(into.size(), until - offset_);
  for (;;) {
    const ssize_t count = ::pread(fd_.get(), into.data(), want, static_cast<off_t>(offset_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("pread", "layer");
    if (count == 0) return Error{EIO, "pread", "layer", "the file is shorter than was announced"};
    offset_ += static_cast<uint64_t>(count);
    return static_cast<size_t>(count);
  }
}

void FollowSource::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  changed_.notify_all();
}

void FollowSource::advance(uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (complete_ || size <= available_) return;
  available_ = size;
  changed_.notify_all();
}

void FollowSource::complete() {
  const std::lock_guard lock(mutex_);
  complete_ = true;
  changed_.notify_all();
}

Result<size_t> PushSource::read(std::span<uint8_t> into) {
  bool drained = false;
  size_t count = 0;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return aborted_ || complete_ || !queue_.empty(); });
    if (aborted_) return cancelled();
    if (queue_.empty()) return size_t{0};
    const std::string& front = queue_.front();
    count = std::min(into.size(), front.size() - front_offset_);
    std::memcpy(into.data(), front.data() + front_offset_, count);
    front_offset_ += count;
    if (front_offset_ == front.size()) {
      queued_ -= front.size();
      front_offset_ = 0;
      queue_.pop_front();
    }
    if (over_ && queued_ <= max_bytes_ / 2) {
      over_ = false;
      drained = true;
    }
  }
  if (drained && on_drained_) on_drained_();
  return count;
}

void PushSource::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  queue_.clear();
  queued_ = 0;
  changed_.notify_all();
}

bool PushSource::push(std::string chunk) {
  const std::lock_guard lock(mutex_);
  if (chunk.empty() || aborted_ || complete_) return true;
  queued_ += chunk.size();
  queue_.push_back(std::move(chunk));
  changed_.notify_all();
  over_ = over_ || queued_ > max_bytes_;
  return !over_;
}

void PushSource::complete() {
  const std::lock_guard lock(mutex_);
  complete_ = true;
  changed_.notify_all();
}

}  // namespace berth::tar
