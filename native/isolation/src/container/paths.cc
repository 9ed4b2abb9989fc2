#include "container/paths.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <deque>

namespace berth::container {

namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own limit

int openat2_retrying(int root, const char* path, int flags, mode_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const int fd = static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
    // EAGAIN: a rename or mount elsewhere made the kernel unsure about a "..".
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt >= 64) return fd;
  }
}

int openat2_in_root(int root, const char* path, int flags, mode_t mode) {
  return openat2_retrying(root, path, flags, mode, RESOLVE_IN_ROOT);
}

void split(const std::string& path, std::deque<std::string>& out, bool at_front) {
  std::deque<std::string> parts;
  size_t at = 0;
  while (at < path.size()) {
    size_t end = path.find('/', at);
    if (end == std::string::npos) end = path.size();
    if (end > at) parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  if (at_front)
    out.insert(out.begin(), parts.begin(), parts.end());
  else
    out.insert(out.end(), parts.begin(), parts.end());
}

void pop(std::string& path) {
  const size_t slash = path.rfind('/');
  path.resize(slash == std::string::npos ? 0 : slash);
}

/// Makes `name` in the directory `resolved`; somebody else having made it meanwhile is fine.
Result<void> make_one(int root, const std::string& resolved, const std::string& name, Make kind) {
  UniqueFd directory(openat2_in_root(root, resolved.empty() ? "/" : resolved.c_str(), O_PATH | O_DIRECTORY, 0));
  if (!directory) return sys_error("openat2", resolved);
  if (kind == Make::directory) {
    if (::mkdirat(directory.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return sys_error("mkdir", resolved + "/" + name);
    return {};
  }
  UniqueFd file(
      ::openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file && errno != EEXIST) return sys_error("open", resolved + "/" + name);
  return {};
}

Result<std::string> read_link(int fd, const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(fd, "", target, sizeof target);
  if (length < 0) return sys_error("readlink", path);
  return std::string(target, static_cast<size_t>(length));
}

}  // namespace

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

std::string absolute(const std::string& base, const std::string& path) {
  return !path.empty() && path[0] == '/' ? path : base + "/" + path;
}

std::string clean_path(const std::string& path) {
  std::deque<std::string> parts;
  split(path, parts, false);
  std::string clean;
  for (const auto& part : parts) {
    if (part == ".") continue;
    if (part == "..")
      pop(clean);
    else
      clean += "/" + part;
  }
  return clean.empty() ? "/" : clean;
}

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(openat2_in_root(root, path.empty() ? "/" : path.c_str(), flags, mode));
  if (!fd) return sys_error("openat2", path);
  return fd;
}

Result<UniqueFd> open_within(const std::string& base, const std::string& path) {
  const UniqueFd root(::open(base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", base);
  UniqueFd fd(openat2_retrying(root.get(), path.c_str(), O_PATH, 0, RESOLVE_BENEATH));
  if (!fd) return sys_error("subpath", path);
  return fd;
}

Result<UniqueFd> ensure_in_root(int root, const std::string& path, Make kind) {
  {
    auto found = open_in_root(root, path, O_PATH);
    if (found || found.error().code != ENOENT) return found;
  }
  std::deque<std::string> todo;
  split(path, todo, false);
  std::string resolved;
  int links = 0;
  while (!todo.empty()) {
    const std::string name = std::move(todo.front());
    todo.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      pop(resolved);
      continue;
    }
    const std::string next = resolved + "/" + name;
    UniqueFd fd(openat2_in_root(root, next.c_str(), O_PATH | O_NOFOLLOW, 0));
    if (!fd) {
      if (errno != ENOENT) return sys_error("openat2", next);
      BERTH_TRY(make_one(root, resolved, name, todo.empty() ? kind : Make::directory));
      resolved = next;
      continue;
    }
    struct stat info;
    if (::fstat(fd.get(), &info) != 0) return sys_error("fstat", next);
    if (!S_ISLNK(info.st_mode)) {
      resolved = next;
      continue;
    }
    if (++links > kMaxLinks) return Error{ELOOP, "openat2", path, ""};
    BERTH_ASSIGN(const std::string target, read_link(fd.get(), next));
    if (!target.empty() && target[0] == '/') resolved.clear();
    split(target, todo, true);
  }
  return open_in_root(root, resolved, O_PATH);
}

Result<Parent> ensure_parent_in_root(int root, const std::string& path) {
  const std::string clean = clean_path(path);
  const size_t slash = clean.rfind('/');
  if (clean == "/") return bad_input(path, "a path below /");
  BERTH_ASSIGN(UniqueFd directory, ensure_in_root(root, clean.substr(0, slash), Make::directory));
  return Parent{std::move(directory), clean.substr(slash + 1)};
}

}  // namespace berth::container
