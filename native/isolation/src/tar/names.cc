#include "tar/names.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/fd.h"

namespace berth::tar {

Result<std::vector<std::string>> sorted_names(int directory, const std::string& path) {
  UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) return sys_error("openat", path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(own.get()), ::closedir);
  if (!dir) return sys_error("fdopendir", path);
  static_cast<void>(own.release());
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* child = ::readdir(dir.get());
    if (child == nullptr && errno != 0) return sys_error("readdir", path);
    if (child == nullptr) break;
    if (std::strcmp(child->d_name, ".") == 0 || std::strcmp(child->d_name, "..") == 0) continue;
    if (names.size() == kMaxNames) return Error{E2BIG, "readdir", path, "too many names in one directory"};
    names.emplace_back(child->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace berth::tar
