// Waiting for a socket in a thread that somebody may call off.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace berth::stream {

class Interrupt {
 public:
  static Result<Interrupt> create();
  /// From any thread, once or more: every wait, now and later, fails with ECANCELED.
  void call_off() const noexcept;
  /// Until `fd` has one of `events` (poll(2)); `timeout_ms` -1: for ever. ETIMEDOUT, ECANCELED.
  [[nodiscard]] Result<void> wait(int fd, short events, int timeout_ms) const;

 private:
  explicit Interrupt(UniqueFd event) : event_(std::move(event)) {}
  UniqueFd event_;
};

}  // namespace berth::stream
