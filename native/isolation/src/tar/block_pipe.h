// A ring of blocks between the thread that inflates and the one that writes files.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "base/result.h"

namespace berth::tar {

/// One producer, one consumer. 8 blocks of 256 KiB: together they stay in the second-level cache's reach and still cover the
/// jitter of a directory being made.
class BlockPipe {
 public:
  static constexpr size_t kBlockBytes = 256 * 1024;
  static constexpr size_t kBlocks = 8;

  BlockPipe() : storage_(new uint8_t[kBlockBytes * kBlocks]) {}

  /// Room for the producer's next block; nothing when the consumer has given up.
  std::optional<std::span<uint8_t>> room() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return filled_ < kBlocks || stopped_; });
    if (stopped_) return std::nullopt;
    return std::span<uint8_t>(block(head_), kBlockBytes);
  }
  void commit(size_t bytes) {
    const std::lock_guard lock(mutex_);
    sizes_[head_] = bytes;
    head_ = (head_ + 1) % kBlocks;
    ++filled_;
    changed_.notify_all();
  }
  /// No more blocks; an error reaches the consumer after all blocks before it.
  void close(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }

  /// The consumer's next block, which stays good until the following call; empty at the end.
  Result<std::span<const uint8_t>> next() {
    std::unique_lock lock(mutex_);
    if (holding_) {
      holding_ = false;
      tail_ = (tail_ + 1) % kBlocks;
      --filled_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return filled_ > 0 || closed_; });
    if (filled_ == 0) {
      if (error_) return *error_;
      return std::span<const uint8_t>();
    }
    holding_ = true;
    return std::span<const uint8_t>(block(tail_), sizes_[tail_]);
  }
  /// The consumer wants no more.
  void stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

 private:
  uint8_t* block(size_t index) { return storage_.get() + index * kBlockBytes; }

  std::unique_ptr<uint8_t[]> storage_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t sizes_[kBlocks] = {};
  size_t head_ = 0, tail_ = 0, filled_ = 0;
  bool holding_ = false, closed_ = false, stopped_ = false;
  std::optional<Error> error_;
};

}  // namespace berth::tar
