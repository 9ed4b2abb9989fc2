// Which file execve gets, and why none: in the words that Docker's users and clients know from runc.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container/process.h"

namespace berth::container {

namespace {

/// 0, or why the file can't be run.
int check(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  if ((info.st_mode & 0111) == 0) return EACCES;
  // Real and effective ids are the same by now. Not faccessat2: a seccomp filter that is loaded already may be older than
  // that call, and answer EPERM; then execve itself will tell.
  if (::access(path.c_str(), X_OK) != 0 && errno != EPERM && errno != ENOSYS) return errno;
  return 0;
}

std::string path_variable(const std::vector<std::string>& env) {
  std::string path;
  for (const auto& entry : env)
    if (entry.starts_with("PATH=")) path = entry.substr(5);
  return path;
}

Error exec_error(int code, const std::string& name, const std::string& text) {
  return Error{code, "exec", "", "\"" + name + "\": " + text};
}

}  // namespace

int exit_code_of_exec_failure(const Error& error) { return error.code == ENOENT || error.code == ENOTDIR ? 127 : 126; }

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env) {
  if (name.find('/') != std::string::npos) {
    const int failed = check(name);
    if (failed == 0) return name;
    if (failed == ENOENT || failed == ENOTDIR || failed == ELOOP)
      return exec_error(failed, name, "stat " + name + ": " + (failed == ENOENT ? "no such file or directory" : failed == ENOTDIR ? "not a directory" : "too many levels of symbolic links"));
    if (failed == EISDIR) return exec_error(failed, name, "is a directory");
    return exec_error(failed, name, "permission denied");
  }
  const std::string path = path_variable(env);
  int worst = ENOENT;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    const std::string directory = path.substr(at, end - at);
    at = end + 1;
    const std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    const int failed = check(candidate);
    if (failed == 0) return candidate;
    if (failed == EACCES) worst = EACCES;
  }
  if (worst == EACCES) return exec_error(EACCES, name, "permission denied");
  return exec_error(ENOENT, name, "executable file not found in $PATH");
}

}  // namespace berth::container
