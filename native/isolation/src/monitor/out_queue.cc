#include "monitor/out_queue.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace berth::monitor {

Chunk::Chunk(Budget* budget, const iovec* pieces, size_t count) : budget_(budget) {
  for (size_t i = 0; i < count; i++) size_ += pieces[i].iov_len;
  data_.reset(new char[size_]);
  char* to = data_.get();
  for (size_t i = 0; i < count; i++) {
    if (pieces[i].iov_len > 0) std::memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
    to += pieces[i].iov_len;
  }
  if (budget_ != nullptr) budget_->take(size_);
}

Chunk::~Chunk() {
  if (budget_ != nullptr) budget_->give(size_);
}

ssize_t send_some(int socket, iovec* pieces, size_t count) {
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  while (true) {
    const ssize_t sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    // ENOBUFS and ENOMEM pass; the socket tells again when it is writable.
    return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
  }
}

void OutQueue::push(SharedChunk chunk, size_t offset) {
  if (offset >= chunk->size()) return;
  bytes_ += chunk->size() - offset;
  entries_.push_back({std::move(chunk), offset});
}

void OutQueue::clear() {
  // The chunks' destructors may call back into whoever owns this queue: they must find it empty.
  auto old = std::exchange(entries_, {});
  head_ = 0;
  bytes_ = 0;
}

void OutQueue::advance(size_t bytes) {
  bytes_ -= bytes;
  while (bytes > 0) {
    Entry& entry = entries_[head_];
    const size_t step = std::min(bytes, entry.chunk->size() - entry.offset);
    entry.offset += step;
    bytes -= step;
    if (entry.offset == entry.chunk->size()) {
      const SharedChunk done = std::move(entry.chunk);
      head_++;
    }
  }
  if (empty()) clear();
}

OutQueue::Flushed OutQueue::flush(int socket, size_t& progress) {
  constexpr size_t kPieces = 64;
  while (!empty()) {
    iovec pieces[kPieces];
    size_t count = 0, total = 0;
    for (size_t i = head_; i < entries_.size() && count < kPieces; i++, count++) {
      const Entry& entry = entries_[i];
      pieces[count].iov_base = const_cast<char*>(entry.chunk->data() + entry.offset);
      pieces[count].iov_len = entry.chunk->size() - entry.offset;
      total += pieces[count].iov_len;
    }
    const ssize_t sent = send_some(socket, pieces, count);
    if (sent < 0) return Flushed::broken;
    progress += static_cast<size_t>(sent);
    advance(static_cast<size_t>(sent));
    if (static_cast<size_t>(sent) < total) return Flushed::some;
  }
  return Flushed::all;
}

}  // namespace berth::monitor
