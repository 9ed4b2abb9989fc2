// Device rules as a process inside meets them: v1's controller or the eBPF program.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup_support.h"

using namespace berth;
using namespace berth::test;

namespace {

/// errno of opening a node of this device from inside the group; 0 if it opened (or the driver is not there: ENXIO).
int try_open(cgroup::Cgroup& group, mode_t type, unsigned major, unsigned minor, int flags) {
  char directory[] = "/tmp/berth-dev-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/node";
  REQUIRE(::mknod(path.c_str(), type | 0600, ::makedev(major, minor)) == 0);
  Inside child(group, [&] {
    const int fd = ::open(path.c_str(), flags | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 || errno == ENXIO || errno == ENODEV ? 0 : errno;
  });
  const int status = child.wait();
  ::unlink(path.c_str());
  ::rmdir(directory);
  return WEXITSTATUS(status);
}

int try_mknod(cgroup::Cgroup& group, unsigned major, unsigned minor) {
  Inside child(group, [&] {
    const std::string path = "/tmp/berth-mknod-" + std::to_string(::getpid());
    const int made = ::mknod(path.c_str(), S_IFCHR | 0600, ::makedev(major, minor));
    const int error = made == 0 ? 0 : errno;
    ::unlink(path.c_str());
    return error;
  });
  return WEXITSTATUS(child.wait());
}

oci::DeviceRule rule(bool allow, char type, std::optional<int64_t> major, std::optional<int64_t> minor,
                     const std::string& access) {
  return {allow, type, major, minor, access};
}

void must(const Result<void>& result) {
  if (!result.ok()) FAIL(result.error().message());
}

}  // namespace

TEST_CASE("devices: only the standard ones without a rule") {
  TestGroup group("dev-default");
  must(group->apply({}));
  CHECK(try_open(*group, S_IFCHR, 1, 3, O_RDWR) == 0);      // null
  CHECK(try_open(*group, S_IFCHR, 1, 9, O_RDONLY) == 0);    // urandom
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == EPERM);  // kmsg
  CHECK(try_open(*group, S_IFCHR, 1, 1, O_RDONLY) == EPERM);   // mem
  CHECK(try_open(*group, S_IFBLK, 7, 0, O_RDONLY) == EPERM);   // loop0
  CHECK(try_mknod(*group, 1, 11) == 0);
}

TEST_CASE("devices: rules are replaced while processes run, later ones win") {
  TestGroup group("dev-rules");
  oci::Resources resources;
  resources.devices = {rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 1, 11, "r")};
  must(group->apply(resources));
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == 0);
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_WRONLY) == EPERM);
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDWR) == EPERM);
  CHECK(try_open(*group, S_IFCHR, 1, 1, O_RDONLY) == EPERM);
  // An update without device rules leaves them alone.
  oci::Resources pids;
  pids.pids.emplace().limit = 50;
  must(group->apply(pids));
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == 0);
  // Read and write by two rules are both.
  resources.devices.push_back(rule(true, 'c', 1, 11, "w"));
  must(group->apply(resources));
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDWR) == 0);
  resources.devices = {rule(true, 'c', 1, 11, "rw"), rule(false, 'c', 1, 11, "rwm")};
  must(group->apply(resources));
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == EPERM);
  CHECK(try_open(*group, S_IFCHR, 1, 3, O_RDWR) == 0);
}

TEST_CASE("devices: all allowed but some") {
  TestGroup group("dev-all");
  oci::Resources resources;
  resources.devices = {rule(true, 'a', {}, {}, "rwm"), rule(false, 'c', 1, 11, "w")};
  must(group->apply(resources));
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == 0);
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_WRONLY) == EPERM);
  CHECK(try_open(*group, S_IFCHR, 1, 1, O_RDONLY) == 0);
  // And back to none.
  resources.devices = {rule(false, 'a', {}, {}, "rwm")};
  must(group->apply(resources));
  CHECK(try_open(*group, S_IFCHR, 1, 1, O_RDONLY) == EPERM);
  CHECK(try_open(*group, S_IFCHR, 1, 5, O_RDONLY) == 0);
}

TEST_CASE("devices: a hole in a wider rule works on v2, and is an error on v1") {
  TestGroup group("dev-hole");
  oci::Resources resources;
  resources.devices = {rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 1, {}, "rwm"), rule(false, 'c', 1, 11, "rwm")};
  auto applied = group->apply(resources);
  if (group.directory("devices") != group.directory("")) {
    REQUIRE(!applied.ok());
    CHECK(applied.error().code == EINVAL);
    return;
  }
  must(applied);
  CHECK(try_open(*group, S_IFCHR, 1, 1, O_RDONLY) == 0);
  CHECK(try_open(*group, S_IFCHR, 1, 11, O_RDONLY) == EPERM);
}
