#include "container/sync.h"

#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <utility>

#include "base/pass_fd.h"

namespace berth::container {

namespace {

constexpr size_t kMaxMessage = 16384;

std::string encode(const Error& error) {
  std::string text = std::to_string(error.code);
  for (const std::string* part : {&error.call, &error.object, &error.detail}) {
    text += '\0';
    text += part->substr(0, 4096);
  }
  return text;
}

Error decode(const std::string& text) {
  std::string parts[4];
  size_t at = 0;
  for (size_t i = 0; i < 4 && at <= text.size(); ++i) {
    const size_t end = std::min(text.find('\0', at), text.size());
    parts[i] = text.substr(at, end - at);
    at = end + 1;
  }
  return Error{static_cast<int>(std::strtol(parts[0].c_str(), nullptr, 10)), parts[1], parts[2], parts[3]};
}

}  // namespace

Result<std::pair<Sync, Sync>> Sync::make_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return sys_error("socketpair");
  return std::pair(Sync(UniqueFd(fds[0])), Sync(UniqueFd(fds[1])));
}

Result<void> Sync::send(Message kind, std::string_view payload, int fd) {
  char first = static_cast<char>(kind);
  iovec parts[2] = {{&first, 1}, {const_cast<char*>(payload.data()), payload.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  std::optional<PassedFd> passed;
  if (fd >= 0) passed.emplace(message, fd);
  for (;;) {
    if (::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return sys_error("sendmsg", "set-up socket");
  }
}

Result<void> Sync::send_error(const Error& error) { return send(Message::error, encode(error)); }

Result<Received> Sync::receive() {
  char data[kMaxMessage];
  iovec part{data, sizeof data};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  // A peer that died with unread data resets the connection; that is told once, and before what it had sent.
  bool reset = false;
  do got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  Received received;
  if (got < 0) return sys_error("recvmsg", "set-up socket");
  if (got == 0) {
    received.end = true;
    return received;
  }
  if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.fd.reset(fd);
  }
  received.kind = static_cast<Message>(data[0]);
  received.payload.assign(data + 1, static_cast<size_t>(got) - 1);
  if (received.kind == Message::error) return decode(received.payload);
  return received;
}

Result<Received> Sync::expect(Message kind) {
  BERTH_ASSIGN(Received received, receive());
  if (received.end) return Error{ECONNRESET, "set-up", "", "the other process ended"};
  if (received.kind != kind)
    return Error{EPROTO, "set-up", "", std::string("unexpected message ") + static_cast<char>(received.kind)};
  return received;
}

}  // namespace berth::container
