// Descriptors passed over unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace berth {

/// The control data that passes one descriptor. Lives as long as the message that it is attached to.
class PassedFd {
 public:
  PassedFd(msghdr& message, int fd) {
    message.msg_control = control_;
    message.msg_controllen = sizeof control_;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  PassedFd(const PassedFd&) = delete;
  PassedFd& operator=(const PassedFd&) = delete;

 private:
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
};

/// Sends `bytes` in one message, and `fd` with it. `object` names the socket's other end in an error.
inline Result<void> send_with_fd(int socket, std::string_view bytes, int fd, const std::string& object) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = bytes.empty() ? 0 : 1;
  const PassedFd passed(message, fd);
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return sys_error("sendmsg", object);
  }
  return {};
}

struct ReceivedFd {
  std::string bytes;
  UniqueFd fd;  // none when the message carried none
};

/// One message of at most `max_bytes`; what does not fit is an EMSGSIZE. No bytes: the other side has closed.
Result<ReceivedFd> receive_with_fd(int socket, size_t max_bytes, const std::string& object);

}  // namespace berth
