// Working memory that every stream shares: the monitor is one thread, and a byte read is encoded and sent before the next
// is read. Mapped once, given back to the kernel while the container is silent, so that an idle monitor stays small.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "monitor/loop.h"

namespace berth::monitor {

class Scratch {
 public:
  /// Most that is read at once. Larger reads save few system calls and leave the processor's second-level cache.
  static constexpr size_t kReadSize = 256u << 10;
  /// Log records waiting for their write().
  static constexpr size_t kLogSize = 384u << 10;

  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  Result<void> open(Loop* loop);
  /// Called before either area is used; (re)starts the clock after which the pages go back.
  char* read_area();
  char* log_area() { return memory_ + kReadSize; }
  /// Called, with the pages' release, after a second without use.
  void on_idle(std::function<void()> call) { on_idle_ = std::move(call); }

 private:
  void check_idle();

  Loop* loop_ = nullptr;
  char* memory_ = nullptr;
  bool used_ = false;   // since the clock was last looked at
  bool armed_ = false;  // the clock is running
  std::function<void()> on_idle_;
};

}  // namespace berth::monitor
