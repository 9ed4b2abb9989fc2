#include "monitor/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "monitor/answer.h"

namespace berth::monitor {

namespace {

/// With less free than this in a socket its stream waits. The kernel calls a unix socket writable when three quarters
/// of its buffer are free, so waiting for that always gets past this line.
constexpr size_t kLeastRoom = 32u << 10;
constexpr size_t kMaxUnread = 1u << 20;
constexpr size_t kReadRequest = 64u << 10;
/// Most input moved before others get their turn, in bytes or system calls' worth.
constexpr int kInputTurns = 32;

}  // namespace

Connection::Connection(ConnectionContext* context, UniqueFd fd) : context_(context), fd_(std::move(fd)) {}

Connection::~Connection() {
  context_->loop->cancel(timer_);
  context_->request_bytes -= request_.size();
}

bool Connection::start() {
  watch_.bind(context_->loop, fd_.get(), [this](uint32_t events) { ready(events); });
  if (!watch_.watch(EPOLLIN)) return false;
  timer_ = context_->loop->after(context_->request_ms, [this] {
    timer_ = Loop::kNoTimer;
    refuse(ETIMEDOUT, "the request did not come in time");
  });
  read_request();
  return true;
}

void Connection::ready(uint32_t events) {
  if (state_ == State::closed) return;
  if ((events & EPOLLOUT) != 0) flush();
  if (state_ == State::request && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    read_request();
    return;
  }
  if (state_ == State::stream && (events & EPOLLIN) != 0 && !input_eof_ && !input_paused_) drain_input();
  if ((state_ == State::events || state_ == State::closing) && (events & EPOLLIN) != 0 && !discard_input()) {
    input_eof_ = true;
    update();
  }
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) hung_up();
}

void Connection::hung_up() {
  if (state_ == State::closed || hung_up_) return;
  hung_up_ = true;
  out_.clear();
  if (state_ != State::stream || input_eof_ || !wants_.in) {
    close();
    return;
  }
  // Input that the client sent before it went is still the process's. It takes no more output, so nobody waits for it.
  io_->detach(this);
  io_->attach(this, Wants{true, false, false});
  if (input_paused_) watch_.off();  // a hang-up is told over and over; the process's next read goes on from here
}

// ---- the request

bool Connection::take_request_bytes(const char* data, size_t size) {
  if (context_->request_bytes + size > kMaxRequests) {
    refuse(EAGAIN, "too many unfinished requests");
    return false;
  }
  context_->request_bytes += size;
  request_.append(data, size);
  return true;
}

void Connection::read_request() {
  while (state_ == State::request) {
    char* const area = context_->scratch->read_area();
    const ssize_t got = recv(fd_.get(), area, kReadRequest, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      close();
      return;
    }
    const size_t before = request_.size();
    if (!take_request_bytes(area, static_cast<size_t>(got))) return;
    const size_t newline = request_.find('\n', before);
    if (newline == std::string::npos ? request_.size() > kMaxRequest : newline > kMaxRequest) {
      refuse(EMSGSIZE, "a request is one line of at most 1 MiB");
      return;
    }
    if (newline == std::string::npos) continue;
    context_->loop->cancel(timer_);
    context_->request_bytes -= request_.size();
    const std::string line = std::exchange(request_, {});
    state_ = State::closing;  // unless the answer turns it into a stream
    request_ = line.substr(newline + 1);
    context_->request_bytes += request_.size();
    context_->owner->on_request(*this, std::string_view(line).substr(0, newline));
    context_->request_bytes -= request_.size();
    request_ = {};
  }
}

void Connection::refuse(int code, std::string_view message) {
  send_line(error_line(Error{code, "request", "", std::string(message)}));
  finish();
}

// ---- output

void Connection::send_line(std::string_view line) {
  if (state_ == State::closed || hung_up_) return;
  if (out_.bytes() > kMaxUnread) {  // a subscriber that does not read its events
    fail();
    return;
  }
  const iovec pieces[2] = {{const_cast<char*>(line.data()), line.size()}, {const_cast<char*>("\n"), 1}};
  SharedChunk kept;
  send_output(pieces, kept, nullptr);
}

size_t Connection::room() {
  if (state_ != State::stream || hung_up_ || broken_) return SIZE_MAX;
  size_t free = 0;
  if (out_.empty()) {
    int queued = 0;
    ioctl(fd_.get(), SIOCOUTQ, &queued);
    free = queued < send_buffer_ ? static_cast<size_t>(send_buffer_ - queued) : 0;
  }
  // A quarter is left for what the kernel's own bookkeeping takes of the buffer.
  if (free >= std::min(kLeastRoom, static_cast<size_t>(send_buffer_) / 2)) return free / 4 * 3;
  want_room_ = true;
  update();
  return 0;
}

void Connection::send_output(const iovec (&pieces)[2], SharedChunk& kept, Budget* budget) {
  if (state_ == State::closed || hung_up_ || broken_) return;
  size_t sent = 0;
  if (out_.empty()) {
    iovec copy[2] = {pieces[0], pieces[1]};
    const ssize_t count = send_some(fd_.get(), copy, 2);
    if (count < 0) {
      fail();
      return;
    }
    sent = static_cast<size_t>(count);
    if (sent == pieces[0].iov_len + pieces[1].iov_len) return;
  }
  if (kept == nullptr) kept = std::make_shared<const Chunk>(budget, pieces, size_t{2});
  out_.push(kept, sent);
  update();
}

void Connection::flush() {
  const OutQueue::Flushed flushed = out_.flush(fd_.get(), progress_);
  if (flushed == OutQueue::Flushed::broken) {
    fail();
    return;
  }
  if (flushed == OutQueue::Flushed::some) return;
  if (state_ == State::closing) {
    close();
    return;
  }
  const bool resume = std::exchange(want_room_, false);
  update();
  if (resume && io_ != nullptr) io_->resume();
}

void Connection::fail() {
  // Called while the owner may be walking through its clients, so the hang-up is handled after that.
  if (std::exchange(broken_, true)) return;
  out_.clear();
  context_->loop->defer([this] { hung_up(); });
}

void Connection::drop_if_behind() {
  if (out_.empty()) return;
  fail();
}

// ---- the stream

void Connection::start_stream(ProcessIo* io, Wants wants) {
  io_ = io;
  wants_ = wants;
  state_ = State::stream;
  socklen_t size = sizeof send_buffer_;
  getsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer_, &size);
  io->attach(this, wants);
  if (wants.in) io->push_input(request_.data(), request_.size());
  update();
}

void Connection::drain_input() {
  for (int turn = 0; turn < kInputTurns; turn++) {
    const InputSink::Pulled pulled = wants_.in ? io_->pull_input(fd_.get()) : InputSink::Pulled::closed;
    switch (pulled) {
      case InputSink::Pulled::more:
        continue;
      case InputSink::Pulled::empty:
        return;
      case InputSink::Pulled::full:
        input_paused_ = true;
        if (hung_up_)
          watch_.off();
        else
          update();
        return;
      case InputSink::Pulled::closed:
        // Nobody reads: the client must not hang on it, and its end must still be seen.
        if (!discard_input()) input_ended();
        return;
      case InputSink::Pulled::eof:
        input_ended();
        return;
    }
  }
}

bool Connection::discard_input() {
  while (true) {
    const ssize_t got = recv(fd_.get(), context_->scratch->read_area(), kReadRequest, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    return got < 0 && errno == EAGAIN;
  }
}

void Connection::input_ended() {
  input_eof_ = true;
  if (wants_.in) io_->end_of_input();
  if (hung_up_)
    close();
  else
    update();
}

void Connection::resume_input() {
  if (!std::exchange(input_paused_, false)) return;
  if (hung_up_) watch_.watch(EPOLLIN);
  update();
}

// ---- the end

void Connection::update() {
  if (state_ == State::closed || hung_up_) return;
  uint32_t events = 0;
  if (state_ != State::closing && !input_eof_ && !input_paused_) events |= EPOLLIN;
  if (!out_.empty() || want_room_) events |= EPOLLOUT;
  if (!watch_.watch(events)) fail();
}

void Connection::finish() {
  if (state_ == State::closed) return;
  if (io_ != nullptr) {
    std::exchange(io_, nullptr)->detach(this);
    input_paused_ = false;
  }
  state_ = State::closing;
  if (out_.empty())
    close();
  else
    update();
}

void Connection::end_unless_exec(const ProcessIo* container) {
  if (state_ == State::stream && io_ != container) return;
  finish();
}

void Connection::close_if_stuck(int64_t ms) {
  if (state_ == State::closed) return;
  stuck_ms_ = ms;
  progress_seen_ = progress_;
  context_->loop->cancel(timer_);
  timer_ = context_->loop->after(ms, [this] { check_stuck(); });
}

void Connection::check_stuck() {
  timer_ = Loop::kNoTimer;
  if (progress_ == progress_seen_)
    close();
  else
    close_if_stuck(stuck_ms_);
}

void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  context_->loop->cancel(timer_);
  watch_.off();
  out_.clear();
  // Closing a unix socket with unread input gives the client ECONNRESET instead of the end of file: after the shutdown
  // nothing more can come, and what is there is read away.
  shutdown(fd_.get(), SHUT_RDWR);
  discard_input();
  fd_.reset();
  if (io_ != nullptr) std::exchange(io_, nullptr)->detach(this);
  context_->owner->on_closed(*this);
}

}  // namespace berth::monitor
