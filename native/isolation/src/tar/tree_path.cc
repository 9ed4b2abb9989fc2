#include "tar/tree_path.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <unistd.h>

#include <deque>

#include "tar/beneath.h"
#include "tar/tree_archive.h"

namespace berth::tar {
namespace {

constexpr int kMaxLinks = 255;

void push_parts(std::deque<std::string>& todo, const std::string& path) {
  std::deque<std::string> parts;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (end > at) parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  todo.insert(todo.begin(), parts.begin(), parts.end());
}

void pop_part(std::string& path) {
  const size_t slash = path.rfind('/');
  path.resize(slash == std::string::npos ? 0 : slash);
}

}  // namespace

Result<std::string> resolve_links(int root, const std::string& path) {
  std::deque<std::string> todo;
  push_parts(todo, path);
  std::string resolved;
  for (int links = 0; !todo.empty();) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == ".") continue;
    if (part == "..") {
      pop_part(resolved);
      continue;
    }
    const std::string next = resolved + "/" + part;
    if (next.size() >= PATH_MAX) return Error{ENAMETOOLONG, "openat2", path, {}};
    const auto fd = open_beneath(root, next, O_PATH | O_NOFOLLOW);
    struct stat status {};
    if (!fd.ok() || ::fstat(fd.value().get(), &status) != 0 || !S_ISLNK(status.st_mode)) {
      resolved = next;
      continue;
    }
    if (++links > kMaxLinks) return Error{ELOOP, "openat2", path, "too many links"};
    char text[PATH_MAX];
    const ssize_t length = ::readlinkat(fd.value().get(), "", text, sizeof text);
    if (length < 0) return sys_error("readlinkat", next);
    const std::string target(text, static_cast<size_t>(length));
    if (target.starts_with('/')) resolved.clear();
    push_parts(todo, target);
  }
  return resolved.empty() ? "/" : resolved;
}

Result<UniqueFd> open_path(int root, const std::string& path) {
  if (path.size() >= PATH_MAX) return Error{ENAMETOOLONG, "openat2", path.substr(0, 64), {}};
  BERTH_ASSIGN(UniqueFd fd, open_beneath(root, path, O_PATH | O_NOFOLLOW));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return sys_error("fstat", path);
  // A directory of that kind is there, and shown empty.
  if (!S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode) && is_kernel_file_system(fd.get())) return Error{ENOENT, "openat2", path, {}};
  return fd;
}

Result<PathStatus> stat_path(int root, const std::string& path) {
  BERTH_ASSIGN(const UniqueFd fd, open_path(root, path));
  PathStatus result;
  if (::fstat(fd.get(), &result.status) != 0) return sys_error("fstat", path);
  if (S_ISLNK(result.status.st_mode)) {
    BERTH_ASSIGN(result.target, resolve_links(root, path));
  }
  return result;
}

Result<UniqueFd> open_directory(int root, const std::string& path, std::string& resolved) {
  if (path.size() >= PATH_MAX) return Error{ENAMETOOLONG, "openat2", path.substr(0, 64), {}};
  BERTH_ASSIGN(resolved, resolve_links(root, path));
  // The path as given decides whether something is there: what resolve_links() leaves may be missing.
  BERTH_ASSIGN(UniqueFd fd, open_beneath(root, path, O_PATH));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return sys_error("fstat", path);
  if (!S_ISDIR(status.st_mode)) return Error{ENOTDIR, "openat2", resolved, {}};
  return fd;
}

}  // namespace berth::tar
