// The body of an HTTP answer, written to the connection itself.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "stream/interrupt.h"

namespace berth::stream {

/// Chunks (RFC 9112, 7.1), without the last one: whoever wrote the head ends the answer. EPIPE or ECONNRESET when the client has gone.
class HttpOutput {
 public:
  /// `fd` does not block; both outlive this.
  HttpOutput(int fd, const Interrupt& interrupt) : fd_(fd), interrupt_(interrupt) {}
  Result<void> write(std::span<const uint8_t> bytes);
  /// One chunk of a file's bytes, which the kernel copies; where the file is shorter than that, zeros follow.
  Result<void> send_file(int file, uint64_t offset, uint64_t length);

 private:
  Result<void> put(std::span<const uint8_t> bytes, bool more);
  int fd_;
  const Interrupt& interrupt_;
};

}  // namespace berth::stream
