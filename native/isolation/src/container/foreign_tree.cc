// A bind source in another process's mount namespace ("/proc/PID/root/dev/shm"): the kernel binds only what is mounted in
// the caller's own, so the copy is made over there and carried here.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "container/setup.h"

namespace berth::container {

namespace {

constexpr std::string_view kProc = "/proc/";
constexpr std::string_view kRoot = "/root/";

/// Where this process is in its mount namespace; entering another one loses it.
struct Place {
  UniqueFd space, root, directory;

  static Result<Place> here(int proc) {
    Place place;
    place.space.reset(::openat(proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC));
    place.root.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    place.directory.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!place.space || !place.root || !place.directory) return sys_error("open", "own mount namespace");
    return place;
  }

  Result<void> come_back() const {
    if (::setns(space.get(), CLONE_NEWNS) != 0) return sys_error("setns", "own mount namespace");
    if (::fchdir(root.get()) != 0 || ::chroot(".") != 0 || ::fchdir(directory.get()) != 0)
      return sys_error("chroot", "own root");
    return {};
  }
};

}  // namespace

Result<UniqueFd> foreign_tree(int proc, const std::string& source, bool recursive) {
  if (!source.starts_with(kProc)) return UniqueFd();
  char* end = nullptr;
  const long pid = std::strtol(source.c_str() + kProc.size(), &end, 10);
  if (pid <= 0 || !std::string_view(end).starts_with(kRoot)) return UniqueFd();
  const std::string path = end + kRoot.size() - 1;
  const UniqueFd theirs(
      ::openat(proc, (std::to_string(pid) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  if (!theirs) return sys_error("open", source);
  BERTH_ASSIGN(const Place place, Place::here(proc));
  if (::setns(theirs.get(), CLONE_NEWNS) != 0) return sys_error("setns", source);
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0))));
  const Error failed = sys_error("open_tree", source);
  BERTH_TRY(place.come_back());
  if (!tree) return failed;
  return tree;
}

}  // namespace berth::container
