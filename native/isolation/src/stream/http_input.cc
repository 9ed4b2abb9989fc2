#include "stream/http_input.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "base/hex.h"

namespace berth::stream {
namespace {

/// A chunk's size with its extensions, or one trailer; and all trailers together.
constexpr size_t kMaxLine = 4096;
constexpr size_t kMaxTrailer = 64 * 1024;
/// The end of a chunk and the head of the next are met on the way to its data; more than that is read on purpose into one place.
constexpr size_t kAside = 256;
constexpr size_t kLengthDigits = 16;

Error malformed(const char* what) { return Error{EPROTO, "http", "body", what}; }

/// Hexadecimal digits at the front; `count` is how many. Nothing longer than 15 of them fits a size.
uint64_t hexadecimal(std::string_view text, size_t& count) {
  uint64_t value = 0;
  for (count = 0; count < text.size() && hex_digit(text[count]) >= 0; ++count) value = value << 4 | static_cast<uint64_t>(hex_digit(text[count]));
  return value;
}

}  // namespace

Result<HttpInput> HttpInput::create(int fd, const Interrupt& interrupt, std::string head) {
  if (head.starts_with('c')) return HttpInput(fd, interrupt, head.substr(1));
  if (!head.starts_with('l') || head.size() < 1 + kLengthDigits) return malformed("unknown framing");
  size_t digits = 0;
  const uint64_t length = hexadecimal(std::string_view(head).substr(1, kLengthDigits), digits);
  if (digits != kLengthDigits) return malformed("unknown framing");
  HttpInput input(fd, interrupt, head.substr(1 + kLengthDigits));
  input.chunked_ = false;
  input.left_ = length;
  input.part_ = length == 0 ? Part::kDone : Part::kData;
  return input;
}

Result<std::optional<size_t>> HttpInput::receive(std::span<uint8_t> front, bool may_wait) {
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  }
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kAside);
  iovec parts[2] = {{front.data(), front.size()}, {buffer_.data() + kept, kAside}};
  msghdr message{};
  message.msg_iov = front.empty() ? parts + 1 : parts;
  // A body of known length ends where the next request may begin.
  message.msg_iovlen = front.empty() || !chunked_ ? 1 : 2;
  ssize_t count;
  for (;;) {
    count = ::recvmsg(fd_, &message, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count >= 0 || errno != EAGAIN) break;
    if (!may_wait) {
      buffer_.resize(kept);
      return std::optional<size_t>();
    }
    if (const auto waited = interrupt_.wait(fd_, POLLIN, timeout_ms_); !waited.ok()) {
      buffer_.resize(kept);
      return waited.error();
    }
  }
  const size_t taken = std::min(count < 0 ? size_t{0} : static_cast<size_t>(count), front.size());
  buffer_.resize(kept + (count < 0 ? 0 : static_cast<size_t>(count) - taken));
  if (count < 0) return sys_error("recv", "connection");
  if (count == 0) return Error{ECONNRESET, "recv", "connection", "the client left in the middle of its request"};
  return std::optional(taken);
}

/// The next line, without its end; false when it is not whole yet.
Result<bool> HttpInput::line(std::string& text) {
  const size_t end = buffer_.find('\n', at_);
  if (end == std::string::npos) {
    if (buffer_.size() - at_ > kMaxLine) return malformed("header line too long");
    return false;
  }
  if (end - at_ > kMaxLine) return malformed("header line too long");
  text.assign(buffer_, at_, end - at_);
  if (text.ends_with('\r')) text.pop_back();
  at_ = end + 1;
  return true;
}

Result<void> HttpInput::size_line(const std::string& text) {
  size_t digits = 0;
  const uint64_t size = hexadecimal(text, digits);
  // Extensions follow a semicolon, with or without blanks before it.
  const size_t after = text.find_first_not_of(" \t", digits);
  // In the words of Go's reader, which clients of Docker know.
  if (digits == 0 || (after != std::string::npos && text[after] != ';')) return malformed("invalid byte in chunk length");
  if (digits > 15) return malformed("http chunk length too large");
  left_ = size;
  part_ = size == 0 ? Part::kTrailer : Part::kData;
  return {};
}

Result<bool> HttpInput::parse() {
  std::string text;
  for (;;) {
    if (part_ == Part::kData || part_ == Part::kDone) return true;
    BERTH_ASSIGN(const bool whole, line(text));
    if (!whole) return false;
    if (part_ == Part::kSize) {
      BERTH_TRY(size_line(text));
    } else if (part_ == Part::kDataEnd) {
      if (!text.empty()) return malformed("malformed chunked encoding");
      part_ = Part::kSize;
    } else {
      trailer_ += text.size();
      if (trailer_ > kMaxTrailer) return malformed("header line too long");
      if (text.empty()) part_ = Part::kDone;
    }
  }
}

Result<std::optional<size_t>> HttpInput::read_piece(std::span<uint8_t> into, bool may_wait) {
  for (;;) {
    BERTH_ASSIGN(const bool ready, parse());
    if (part_ == Part::kDone) return std::optional<size_t>(0);
    if (!ready) {
      BERTH_ASSIGN(const auto more, receive({}, may_wait));
      if (!more) return std::optional<size_t>();
      continue;
    }
    const std::span<uint8_t> wanted = into.first(std::min<uint64_t>(into.size(), left_));
    size_t count = std::min(wanted.size(), buffer_.size() - at_);
    if (count > 0) {
      std::memcpy(wanted.data(), buffer_.data() + at_, count);
      at_ += count;
    } else {
      BERTH_ASSIGN(const auto received, receive(wanted, may_wait));
      if (!received) return received;
      count = *received;
    }
    left_ -= count;
    if (left_ == 0) part_ = chunked_ ? Part::kDataEnd : Part::kDone;
    return std::optional(count);
  }
}

Result<size_t> HttpInput::read(std::span<uint8_t> into) {
  if (const auto failure = std::exchange(failure_, std::nullopt)) return *failure;
  size_t filled = 0;
  while (filled < into.size()) {
    const auto piece = read_piece(into.subspan(filled), filled == 0);
    if (!piece.ok()) {
      if (filled == 0) return piece.error();
      failure_ = piece.error();
      break;
    }
    if (piece.value().value_or(0) == 0) break;
    filled += *piece.value();
  }
  return filled;
}

bool HttpInput::skim(uint64_t max_bytes, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::vector<uint8_t> dropped(64 * 1024);
  for (uint64_t total = 0; total <= max_bytes;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    timeout_ms_ = static_cast<int>(std::max<int64_t>(left, 0));
    const auto count = read(dropped);
    if (!count.ok()) return false;
    if (count.value() == 0) return at_ == buffer_.size();
    total += count.value();
  }
  return false;
}

}  // namespace berth::stream
