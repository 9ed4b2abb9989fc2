// Bounds on directory trees. BERTH_TEST_QUOTA_DIRS names directories of file systems that have project quotas, separated by colons:
// the lane in tests/cgroup2 has ext4 and xfs. Without it only the answer of those that have none is looked at.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/fd.h"
#include "quota/project.h"

using namespace berth;

namespace {

constexpr uint32_t kProject = 0x42000007;
constexpr uint64_t kLimit = 4 << 20;

std::vector<std::string> directories() {
  std::vector<std::string> list;
  const char* text = ::getenv("BERTH_TEST_QUOTA_DIRS");
  std::string rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    list.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  return list;
}

/// Writes at most `bytes`; how many were, and the errno that ended it (0: none).
struct Written {
  uint64_t bytes = 0;
  int error = 0;
};
Written write_file_of(const std::string& path, uint64_t bytes) {
  Written written;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return {0, errno};
  const std::string block(65536, 'x');
  while (written.bytes < bytes) {
    const ssize_t got = ::write(fd.get(), block.data(), block.size());
    if (got < 0) {
      written.error = errno;
      break;
    }
    written.bytes += static_cast<uint64_t>(got);
  }
  // What is only promised so far is taken now.
  if (::fsync(fd.get()) != 0 && written.error == 0) written.error = errno;
  return written;
}

bool is_full(int error) { return error == EDQUOT || error == ENOSPC; }

void make(const std::string& path) { REQUIRE(::mkdir(path.c_str(), 0700) == 0); }

/// A container's writable layer of a project on a layer below it, mounted.
struct Layer {
  std::string base, own, merged;

  explicit Layer(const std::string& at) : base(at), own(at + "/own"), merged(at + "/merged") {
    make(base + "/lower");
    REQUIRE(write_file_of(base + "/lower/below", 1 << 20).error == 0);
    make(own);
    REQUIRE(quota::assign(own, kProject).ok());
    for (const char* name : {"/fs", "/work"}) make(own + name);
    REQUIRE(quota::limit(own, kProject, kLimit).ok());
    make(merged);
    const std::string options = "lowerdir=" + base + "/lower,upperdir=" + own + "/fs,workdir=" + own + "/work";
    REQUIRE(::mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) == 0);
  }
  ~Layer() {
    ::umount2(merged.c_str(), MNT_DETACH);
    (void)!::system(("rm -rf " + base + "/own " + base + "/lower " + base + "/merged").c_str());
  }
};

}  // namespace

TEST_CASE("project quotas: a file system without them says so") {
  for (const char* path : {"/dev", "/proc"}) {
    const auto enforced = quota::enforced(path);
    REQUIRE(enforced.ok());
    CHECK_FALSE(enforced.value());
    const auto project = quota::project_of(path);
    REQUIRE(project.ok());
    CHECK(project.value() == 0);
  }
  CHECK_FALSE(quota::enforced("/nonexistent").ok());
}

TEST_CASE("project quotas: a writable layer takes what it may and no more") {
  for (const std::string& at : directories()) {
    CAPTURE(at);
    const auto enforced = quota::enforced(at);
    REQUIRE(enforced.ok());
    REQUIRE(enforced.value());
    REQUIRE_FALSE(quota::in_use(at, kProject).value());
    {
      const Layer layer(at);
      CHECK(quota::in_use(at, kProject).value());
      CHECK(quota::project_of(layer.own).value() == kProject);
      CHECK(quota::project_of(layer.own + "/fs").value() == kProject);
      // A container sees how much it has.
      struct statvfs size;
      REQUIRE(::statvfs(layer.merged.c_str(), &size) == 0);
      CHECK(size.f_blocks * size.f_frsize <= kLimit);
      // What is copied up counts, and gets from the work directory to its place.
      REQUIRE(::chmod((layer.merged + "/below").c_str(), 0640) == 0);
      make(layer.merged + "/directory");
      const Written first = write_file_of(layer.merged + "/file", 2 * kLimit);
      CHECK(is_full(first.error));
      CHECK(first.bytes > kLimit / 2);
      CHECK(first.bytes <= kLimit - (1 << 20));
      // Nor is there room in a directory or by another name.
      CHECK(is_full(write_file_of(layer.merged + "/directory/file", 1 << 20).error));
      // Others are not concerned.
      CHECK(write_file_of(layer.base + "/lower/other", 2 * kLimit).error == 0);
      // Space comes back, and a limit can be another.
      REQUIRE(::unlink((layer.merged + "/file").c_str()) == 0);
      CHECK(write_file_of(layer.merged + "/file", 1 << 20).error == 0);
      REQUIRE(quota::limit(layer.own, kProject, 4 * kLimit).ok());
      CHECK(write_file_of(layer.merged + "/more", kLimit).error == 0);
      REQUIRE(quota::limit(layer.own, kProject, 0).ok());
    }
    // xfs counts removed files out a little later.
    bool used = true;
    for (int i = 0; used && i < 500; i++) {
      ::usleep(10'000);
      used = quota::in_use(at, kProject).value();
    }
    CHECK_FALSE(used);
  }
}
