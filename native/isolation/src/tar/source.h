// Where a layer's (compressed) bytes come from: a file, a file that is still being written, or a caller that pushes chunks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::tar {

/// Bytes in order. read() is called by one thread; abort() may come from any and makes read() fail with ECANCELED soon.
class Source {
 public:
  virtual ~Source() = default;
  /// Fills the front of `into`; 0 at the end.
  virtual Result<size_t> read(std::span<uint8_t> into) = 0;
  virtual void abort() = 0;
};

/// A finished file (or pipe), from the descriptor's current offset.
class FileSource final : public Source {
 public:
  explicit FileSource(UniqueFd fd);
  Result<size_t> read(std::span<uint8_t> into) override;
  void abort() override { aborted_ = true; }

 private:
  UniqueFd fd_;
  std::atomic<bool> aborted_ = false;
};

/// A file that grows. Only what advance() has announced is read: a writer's preallocated or unverified tail stays unseen.
class FollowSource final : public Source {
 public:
  explicit FollowSource(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<size_t> read(std::span<uint8_t> into) override;
  void abort() override;
  /// The first `size` bytes of the file are there now (it never shrinks; smaller values change nothing).
  void advance(uint64_t size);
  /// No more will come than what was announced.
  void complete();

 private:
  UniqueFd fd_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t available_ = 0, offset_ = 0;
  bool complete_ = false, aborted_ = false;
};

/// A bounded queue. push() never blocks: it says whether the queue is over its bound, and `on_drained` tells (on the reading
/// thread) when it no longer is. The caller is expected to wait for that before it pushes on.
class PushSource final : public Source {
 public:
  explicit PushSource(size_t max_bytes, std::function<void()> on_drained) : max_bytes_(max_bytes), on_drained_(std::move(on_drained)) {}
  Result<size_t> read(std::span<uint8_t> into) override;
  void abort() override;
  /// True: go on at once. False: wait for on_drained.
  bool push(std::string chunk);
  void complete();

 private:
  const size_t max_bytes_;
  std::function<void()> on_drained_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> queue_;
  size_t queued_ = 0, front_offset_ = 0;
  bool over_ = false, complete_ = false, aborted_ = false;
};

}  // namespace berth::tar
