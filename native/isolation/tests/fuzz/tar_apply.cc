// Any bytes as an uncompressed layer: they may fail, they may not crash, hang or write outside of the target.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tar/apply.h"
#include "tar/beneath.h"

namespace {

/// In memory, so that an input costs microseconds; the canary lies beside the target, where a path that escapes would land.
struct Playground {
  std::string base = "/dev/shm/berth-fuzz-" + std::to_string(getpid());
  std::string target = base + "/layer";
  int fd = -1;
  Playground() {
    ::mkdir(base.c_str(), 0700);
    ::mkdir(target.c_str(), 0755);
    fd = ::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    canary();
  }
  ~Playground() {
    static_cast<void>(berth::tar::remove_tree(AT_FDCWD, base));
    ::close(fd);
  }
  void canary() const { ::close(::openat(fd, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); }
  void check() const {
    struct stat canary {}, inside {};
    if (::fstatat(fd, "canary", &canary, AT_SYMLINK_NOFOLLOW) != 0 || canary.st_size != 0 || canary.st_nlink != 1) std::abort();
    if (::fstat(fd, &inside) != 0 || inside.st_nlink != 3) std::abort();  // no directory beside the target
  }
  void clear() const {
    static_cast<void>(berth::tar::remove_tree(fd, "layer"));
    ::mkdirat(fd, "layer", 0755);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Playground playground;
  berth::tar::ApplyOptions options;
  options.target = playground.target;
  options.max_entries = 64;
  static_cast<void>(berth::tar::apply_bytes({data, size}, options));
  playground.check();
  playground.clear();
  return 0;
}
