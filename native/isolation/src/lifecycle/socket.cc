#include "lifecycle/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "base/pass_fd.h"
#include "lifecycle/lifecycle.h"

namespace berth::lifecycle {

namespace {

/// An address for the socket `name` in an open directory: sun_path holds 107 bytes, real paths more.
Result<sockaddr_un> address_of(const std::string& path, UniqueFd& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string text = path;
  if (text.size() >= sizeof address.sun_path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return Error{ENAMETOOLONG, "socket", path, ""};
    directory.reset(::open(path.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return sys_error("open", path);
    text = "/proc/self/fd/" + std::to_string(directory.get()) + path.substr(slash);
    if (text.size() >= sizeof address.sun_path) return Error{ENAMETOOLONG, "socket", path, ""};
  }
  std::memcpy(address.sun_path, text.c_str(), text.size());
  return address;
}

Result<UniqueFd> connected(const std::string& path, int type) {
  UniqueFd directory;
  BERTH_ASSIGN(const sockaddr_un address, address_of(path, directory));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_error("connect", path);
  return fd;
}

}  // namespace

Result<UniqueFd> listen_at(const std::string& path) {
  UniqueFd directory;
  BERTH_ASSIGN(const sockaddr_un address, address_of(path, directory));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return sys_error("bind", path);
  if (::chmod(path.c_str(), 0600) != 0) return sys_error("chmod", path);
  if (::listen(fd.get(), 4) != 0) return sys_error("listen", path);
  return fd;
}

Result<UniqueFd> connect_to(const std::string& path) { return connected(path, SOCK_SEQPACKET); }

Result<void> send_terminal(const std::string& socket_path, int fd) {
  BERTH_ASSIGN(const UniqueFd connection, connected(socket_path, SOCK_STREAM));
  return send_with_fd(connection.get(), "/dev/ptmx", fd, socket_path);
}

}  // namespace berth::lifecycle
