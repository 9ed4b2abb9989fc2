// A client's connection, given by the process that has accepted it to the one that has its bytes (or wants them): on one host bulk
// data then passes through no third process. The receiver makes a socket under a name that it tells by other means, the giver sends
// one message there: the descriptor, and what it has read from the connection already.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "stream/interrupt.h"

namespace berth::stream {

struct Connection {
  UniqueFd fd;
  /// First a letter that says how the body is framed (see the users), then what has been read already.
  std::string head;
};

/// Where one connection is waited for. The name is gone with it.
class Inbox {
 public:
  /// A socket at `path`, for root alone.
  static Result<Inbox> open(const std::string& path);
  Inbox(Inbox&&) = default;
  Inbox& operator=(Inbox&&) = delete;
  ~Inbox();
  /// Takes the connection. ETIMEDOUT when none comes, ECANCELED, EPROTO for a message that carries none.
  Result<Connection> take(const Interrupt& interrupt, int timeout_ms);

 private:
  Inbox(std::string path, UniqueFd listener) : path_(std::move(path)), listener_(std::move(listener)) {}
  std::string path_;
  UniqueFd listener_;
};

/// Sends `fd` and `head` (at most kMaxHead bytes, at least one) to the inbox at `path`. The caller keeps its own descriptor.
Result<void> hand_over(const std::string& path, int fd, std::string_view head);

/// ms that a connection may take to come, once its inbox has been told of.
constexpr int kHandoverTimeout = 10'000;
/// What a process may have read from a connection before it gives it away.
constexpr size_t kMaxHead = 160 * 1024;

}  // namespace berth::stream
