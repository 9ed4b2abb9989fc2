#include "monitor/input_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace berth::monitor {

namespace {

/// A terminal takes at most one line buffer (4 KiB) at once.
constexpr size_t kTerminalRead = 4096;
constexpr size_t kSpliceSize = 1u << 20;

bool writable(int fd) {
  pollfd poll_fd{fd, POLLOUT, 0};
  return poll(&poll_fd, 1, 0) > 0;
}

}  // namespace

void InputSink::open(Loop* loop, UniqueFd fd, bool terminal, std::function<void()> on_room) {
  loop_ = loop;
  fd_ = std::move(fd);
  terminal_ = terminal;
  on_room_ = std::move(on_room);
  watch_.bind(loop, fd_.get(), [this](uint32_t events) { ready(events); });
}

void InputSink::wait_for_room() {
  if (!watch_.watch(EPOLLOUT)) close();
}

void InputSink::close() {
  watch_.off();
  fd_.reset();
  pending_ = {};
}

void InputSink::close_when_written() {
  if (terminal_ || !fd_) return;
  closing_ = true;
  if (pending_.empty()) close();
}

bool InputSink::write_pending() {
  size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t written = ::write(fd_.get(), pending_.data() + done, pending_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno != EAGAIN) {
      close();
      return false;
    }
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  pending_.erase(0, done);
  if (!pending_.empty()) return false;
  pending_ = {};
  return true;
}

void InputSink::ready(uint32_t) {
  // A pipe nobody reads any more reports an error here; the write finds out.
  watch_.off();
  if (!pending_.empty() && !write_pending() && fd_) {
    wait_for_room();
    return;
  }
  if (closing_) close();
  on_room_();
}

void InputSink::push(const char* data, size_t size) {
  if (!fd_ || closing_ || size == 0) return;
  const bool idle = pending_.empty();
  pending_.append(data, size);
  if (idle && !write_pending() && fd_) wait_for_room();
}

InputSink::Pulled InputSink::pull(int socket) {
  if (!fd_ || closing_) return Pulled::closed;
  if (!pending_.empty()) return Pulled::full;
  return terminal_ ? pull_terminal(socket) : pull_pipe(socket);
}

InputSink::Pulled InputSink::pull_pipe(int socket) {
  const ssize_t moved =
      splice(socket, nullptr, fd_.get(), nullptr, kSpliceSize, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (moved > 0) return Pulled::more;
  if (moved == 0) return Pulled::eof;
  if (errno == EINTR) return Pulled::more;
  if (errno == EPIPE) {
    close();
    return Pulled::closed;
  }
  if (errno != EAGAIN) return Pulled::eof;  // the client's end is broken
  // EAGAIN does not say which of the two ends is not ready.
  if (writable(fd_.get())) return Pulled::empty;
  wait_for_room();
  return Pulled::full;
}

InputSink::Pulled InputSink::pull_terminal(int socket) {
  char buffer[kTerminalRead];
  const ssize_t got = recv(socket, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got == 0) return Pulled::eof;
  if (got < 0) return errno == EAGAIN ? Pulled::empty : errno == EINTR ? Pulled::more : Pulled::eof;
  push(buffer, static_cast<size_t>(got));
  return !fd_ ? Pulled::closed : Pulled::more;
}

}  // namespace berth::monitor
