#include "base/pass_fd.h"

namespace berth {

Result<ReceivedFd> receive_with_fd(int socket, size_t max_bytes, const std::string& object) {
  ReceivedFd received;
  received.bytes.resize(max_bytes);
  iovec part{received.bytes.data(), received.bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count;
  do count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (count < 0 && errno == EINTR);
  if (count < 0) return sys_error("recvmsg", object);
  if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    received.fd.reset(fd);
  }
  if ((message.msg_flags & MSG_TRUNC) != 0) return Error{EMSGSIZE, "recvmsg", object, {}};
  received.bytes.resize(static_cast<size_t>(count));
  return received;
}

}  // namespace berth
