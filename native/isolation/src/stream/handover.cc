#include "stream/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pass_fd.h"
#include "lifecycle/socket.h"

namespace berth::stream {

Result<Inbox> Inbox::open(const std::string& path) {
  BERTH_ASSIGN(UniqueFd listener, lifecycle::listen_at(path));
  return Inbox(path, std::move(listener));
}

Inbox::~Inbox() {
  if (listener_) ::unlink(path_.c_str());
}

Result<Connection> Inbox::take(const Interrupt& interrupt, int timeout_ms) {
  BERTH_TRY(interrupt.wait(listener_.get(), POLLIN, timeout_ms));
  const UniqueFd giver(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!giver) return sys_error("accept", path_);
  BERTH_TRY(interrupt.wait(giver.get(), POLLIN, timeout_ms));
  BERTH_ASSIGN(ReceivedFd received, receive_with_fd(giver.get(), kMaxHead, path_));
  if (!received.fd || received.bytes.empty()) return Error{EPROTO, "recvmsg", path_, "no connection came"};
  // Whoever gave it may go on with it afterwards: how it behaves is not ours to change.
  const int flags = ::fcntl(received.fd.get(), F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) return Error{EPROTO, "fcntl", path_, "the connection blocks"};
  return Connection{std::move(received.fd), std::move(received.bytes)};
}

Result<void> hand_over(const std::string& path, int fd, std::string_view head) {
  if (head.empty() || head.size() > kMaxHead) return Error{EMSGSIZE, "sendmsg", path, {}};
  BERTH_ASSIGN(const UniqueFd inbox, lifecycle::connect_to(path));
  return send_with_fd(inbox.get(), head, fd, path);
}

}  // namespace berth::stream
