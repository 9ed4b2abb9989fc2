#include "cgroup/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

namespace berth::cgroup {
namespace {

/// Far above what any of these files holds; a bound so that a wrong path cannot eat the memory.
constexpr size_t kMaxFile = 16 << 20;

Result<std::string> read_all(int fd, const std::string& name) {
  std::string text;
  size_t used = 0;
  for (;;) {
    if (text.size() - used < 4096) text.resize(text.size() + 8192);
    const ssize_t n = ::read(fd, text.data() + used, text.size() - used);
    if (n < 0) {
      if (errno == EINTR) continue;
      return sys_error("read", name);
    }
    if (n == 0) break;
    used += static_cast<size_t>(n);
    if (used > kMaxFile) return Error{EFBIG, "read", name, {}};
  }
  text.resize(used);
  return text;
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find(separator);
    const auto part = text.substr(0, end);
    if (!part.empty()) parts.push_back(part);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

uint64_t to_number(std::string_view text, uint64_t fallback) {
  text = trim(text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : fallback;
}

uint64_t keyed(std::string_view text, std::string_view key, uint64_t fallback) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
      return to_number(line.substr(key.size() + 1), fallback);
    at = end + 1;
  }
  return fallback;
}

Result<std::string> read_path(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  return read_all(fd.get(), path);
}

Result<Directory> Directory::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", path);
  return Directory(std::move(fd), path);
}

bool Directory::has(const char* file) const {
  return valid() && ::faccessat(fd_.get(), file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<UniqueFd> Directory::open_file(const char* file, int flags) const {
  UniqueFd fd(::openat(fd_.get(), file, flags | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open", path_ + "/" + file);
  return fd;
}

Result<std::string> Directory::read(const char* file) const {
  BERTH_ASSIGN(const UniqueFd fd, open_file(file, O_RDONLY));
  return read_all(fd.get(), path_ + "/" + file);
}

uint64_t Directory::number(const char* file) const {
  if (!valid()) return 0;
  auto text = read(file);
  return text.ok() ? to_number(*text, 0) : 0;
}

Result<void> Directory::write(const char* file, std::string_view value) const {
  BERTH_ASSIGN(const UniqueFd fd, open_file(file, O_WRONLY));
  ssize_t n;
  do {
    n = ::write(fd.get(), value.data(), value.size());
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(value.size())) return {};
  const int code = n < 0 ? errno : EIO;
  return Error{code, "write", path_ + "/" + file, "\"" + std::string(value) + "\": " + std::strerror(code)};
}

}  // namespace berth::cgroup
