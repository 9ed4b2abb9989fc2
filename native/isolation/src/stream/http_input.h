// The body of an HTTP request, read from the connection itself.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "stream/interrupt.h"

namespace berth::stream {

/// A body in chunks (RFC 9112, 7.1; extensions and trailers are skipped) or of a known length.
class HttpInput {
 public:
  /// `fd` does not block; `interrupt` outlives this. `head` says the framing ("c" for chunks, "l" and sixteen hexadecimal digits for a
  /// length), then comes what has been read of the body already. EPROTO for another one.
  static Result<HttpInput> create(int fd, const Interrupt& interrupt, std::string head);

  /// Fills `into`, as far as there is something without waiting for more than a first byte; 0 at the body's end. ECONNRESET when the
  /// client has gone before that, EPROTO for a malformed chunk: after all that came before it.
  Result<size_t> read(std::span<uint8_t> into);
  /// Drops up to `max_bytes` of what is left, and waits for it up to `timeout_ms`. True when the body has been read to its end and
  /// nothing beyond it: the connection may be used again.
  bool skim(uint64_t max_bytes, int timeout_ms);

 private:
  enum class Part { kSize, kData, kDataEnd, kTrailer, kDone };

  HttpInput(int fd, const Interrupt& interrupt, std::string head) : fd_(fd), interrupt_(interrupt), buffer_(std::move(head)) {}
  /// One receive into `front`, then into the buffer. Timeouts count from the last byte. Nothing: it would have to wait, and may not.
  Result<std::optional<size_t>> receive(std::span<uint8_t> front, bool may_wait);
  /// The next bytes of data that lie together; 0 at the end.
  Result<std::optional<size_t>> read_piece(std::span<uint8_t> into, bool may_wait);
  /// Works off what is buffered up to the next byte of data or the end; false: more is needed.
  Result<bool> parse();
  Result<bool> line(std::string& text);
  Result<void> size_line(const std::string& text);

  int fd_;
  const Interrupt& interrupt_;
  std::string buffer_;  // read and not used yet, from at_ on
  size_t at_ = 0;
  Part part_ = Part::kSize;
  bool chunked_ = true;
  uint64_t left_ = 0;       // of the chunk, or of the whole body
  size_t trailer_ = 0;      // bytes of it so far
  int timeout_ms_ = -1;
  std::optional<Error> failure_;  // to be told when what came before it has been taken
};

}  // namespace berth::stream
