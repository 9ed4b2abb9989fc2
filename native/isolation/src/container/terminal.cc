#include "container/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/paths.h"

namespace berth::container {

Result<Terminal> open_terminal(int root, uint16_t rows, uint16_t cols) {
  Terminal terminal;
  auto master = open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  if (!master) master = open_in_root(root, "/dev/ptmx", O_RDWR | O_NOCTTY);
  if (!master) return master.error();
  terminal.master = std::move(*master);
  int unlock = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) != 0) return sys_error("ioctl TIOCSPTLCK", "/dev/ptmx");
  // Not by name: what stands at that name is the image's to choose.
  terminal.slave.reset(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return sys_error("ioctl TIOCGPTPEER", "/dev/ptmx");
  if (rows != 0 || cols != 0) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = cols;
    if (::ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0) return sys_error("ioctl TIOCSWINSZ", "/dev/ptmx");
  }
  return terminal;
}

Result<void> mount_console(int root, int slave) {
  BERTH_ASSIGN(const UniqueFd target, ensure_in_root(root, "/dev/console", Make::file));
  if (::mount(fd_path(slave).c_str(), fd_path(target.get()).c_str(), nullptr, MS_BIND, nullptr) != 0)
    return sys_error("mount bind", "/dev/console");
  return {};
}

Result<void> use_terminal(int slave) {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return sys_error("ioctl TIOCSCTTY");
  for (int fd = 0; fd < 3; ++fd)
    if (::dup2(slave, fd) < 0) return sys_error("dup2");
  return {};
}

}  // namespace berth::container
