// Bytes on their way to a client that does not take them at once. Chunks are shared between clients and counted.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace berth::monitor {

/// All the output that the monitor keeps for slow clients, in bytes. Normally none: a process whose client is slow is
/// not read. It fills when a container exits with output in its pipes, which must reach the log at once.
class Budget {
 public:
  static constexpr size_t kLimit = 1u << 20;

  [[nodiscard]] size_t available(size_t reserve) const { return used_ + reserve >= kLimit ? 0 : kLimit - used_ - reserve; }
  [[nodiscard]] size_t used() const { return used_; }
  void take(size_t bytes) { used_ += bytes; }
  void give(size_t bytes) {
    used_ -= bytes;
    if (std::exchange(starved_, false) && on_release_) on_release_();
  }
  /// Somebody could not read because nothing was available: on_release is called, once, when that changes.
  void starve() { starved_ = true; }
  void on_release(std::function<void()> call) { on_release_ = std::move(call); }

 private:
  size_t used_ = 0;
  bool starved_ = false;
  std::function<void()> on_release_;
};

/// A block of output kept in memory; never changed once made.
class Chunk {
 public:
  /// Copies the pieces one after another. `budget` may be null (answers to requests are not output).
  Chunk(Budget* budget, const iovec* pieces, size_t count);
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;
  ~Chunk();

  [[nodiscard]] const char* data() const { return data_.get(); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  Budget* budget_;
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
};

using SharedChunk = std::shared_ptr<const Chunk>;

class OutQueue {
 public:
  enum class Flushed { all, some, broken };

  [[nodiscard]] bool empty() const { return head_ == entries_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  void push(SharedChunk chunk, size_t offset);
  void clear();
  /// Sends what the socket takes; `progress` counts the bytes.
  Flushed flush(int socket, size_t& progress);

 private:
  struct Entry {
    SharedChunk chunk;
    size_t offset;
  };
  void advance(size_t bytes);

  std::vector<Entry> entries_;
  size_t head_ = 0;
  size_t bytes_ = 0;
};

/// sendmsg that never blocks and never raises SIGPIPE: bytes sent, 0 if the socket is full, -1 if it is broken.
ssize_t send_some(int socket, iovec* pieces, size_t count);

}  // namespace berth::monitor
