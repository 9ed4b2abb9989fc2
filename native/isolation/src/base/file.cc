#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth {

Result<std::string> read_fd(int fd, const std::string& name, size_t max_bytes) {
  std::string data;
  char block[4096];
  for (;;) {
    const ssize_t got = ::read(fd, block, sizeof block);
    if (got < 0) {
      if (errno == EINTR) continue;
      return sys_error("read", name);
    }
    if (got == 0) return data;
    if (data.size() + static_cast<size_t>(got) > max_bytes)
      return Error{EFBIG, "read", name, "more than " + std::to_string(max_bytes) + " bytes"};
    data.append(block, static_cast<size_t>(got));
  }
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  return read_fd(fd.get(), path, max_bytes);
}

Result<void> write_all(int fd, std::string_view data, const std::string& name) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return sys_error("write", name);
    }
    data.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view data) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  for (;;) {
    const ssize_t put = ::write(fd.get(), data.data(), data.size());
    if (put >= 0) return {};
    if (errno != EINTR) return sys_error("write", path);
  }
}

Result<void> replace_file(const std::string& path, std::string_view data, unsigned mode, bool sync) {
  const std::string temporary = path + ".tmp." + std::to_string(::getpid());
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return sys_error("open", temporary);
  auto fail = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  if (auto written = write_all(fd.get(), data, temporary); !written) return fail(written.error());
  if (sync && ::fsync(fd.get()) != 0) return fail(sys_error("fsync", temporary));
  fd.reset();
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail(sys_error("rename", path));
  if (!sync) return {};
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return sys_error("fsync", directory);
  return {};
}

Result<void> make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == EEXIST) return {};
  if (errno != ENOENT) return sys_error("mkdir", path);
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0) return sys_error("mkdir", path);
  BERTH_TRY(make_directories(path.substr(0, slash), mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return sys_error("mkdir", path);
  return {};
}

}  // namespace berth
