#include "external/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>

#include "base/pass_fd.h"

namespace berth::external {

namespace {

constexpr char kName[] = "console";
constexpr int kPatienceSeconds = 5;

}  // namespace

Result<ConsoleSocket> ConsoleSocket::open(const std::string& directory) {
  ConsoleSocket socket;
  socket.directory_.reset(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!socket.directory_) return sys_error("open", directory);
  ::unlinkat(socket.directory_.get(), kName, 0);
  socket.listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.listener_) return sys_error("socket", "console socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, socket.path().c_str());
  if (::bind(socket.listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_error("bind", "console socket");
  if (::listen(socket.listener_.get(), 1) != 0) return sys_error("listen", "console socket");
  return socket;
}

ConsoleSocket::~ConsoleSocket() {
  if (directory_) ::unlinkat(directory_.get(), kName, 0);
}

std::string ConsoleSocket::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(directory_.get()) + "/" + kName;
}

void ConsoleSocket::receive(uint16_t rows, uint16_t cols) {
  terminal_ = [&]() -> Result<UniqueFd> {
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return sys_error("accept", "console socket");
    // Who connects sends next; whoever does not must not hold us.
    const timeval patience{kPatienceSeconds, 0};
    ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    // The path of the terminal comes with it.
    BERTH_ASSIGN(ReceivedFd received, receive_with_fd(connection.get(), 4096, "console socket"));
    if (!received.fd) return Error{EPROTO, "console socket", "", "the runtime has sent no terminal"};
    if (rows > 0 && cols > 0) {
      winsize size{};
      size.ws_row = rows;
      size.ws_col = cols;
      (void)::ioctl(received.fd.get(), TIOCSWINSZ, &size);
    }
    return std::move(received.fd);
  }();
}

Result<UniqueFd> ConsoleSocket::take() { return std::move(terminal_); }

}  // namespace berth::external
