// Finding hierarchies in mountinfo.
#include <doctest/doctest.h>

#include "cgroup/detect.h"
#include "cgroup/files.h"

using namespace berth::cgroup;

namespace {

constexpr const char* kHybrid =
    "21 1 0:20 / /sys rw - sysfs sysfs rw\n"
    "30 21 0:25 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "33 30 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n"
    "34 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

}  // namespace

TEST_CASE("a hybrid host: controllers, named and unified hierarchies") {
  const Layout layout = parse_layout(kHybrid);
  CHECK(layout.mode == Mode::hybrid);
  REQUIRE(layout.hierarchies.size() == 4);
  CHECK(layout.hierarchies[0].controllers == std::vector<std::string>{"cpu", "cpuacct"});
  CHECK(layout.hierarchies[0].mount_point == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(layout.hierarchies[2].controllers == std::vector<std::string>{"name=systemd"});
  CHECK(layout.hierarchies[3].unified);
}

TEST_CASE("v1 alone, v2 alone, v2 beside a named hierarchy, none") {
  CHECK(parse_layout("1 0 0:1 / /cg rw - cgroup cgroup rw,pids\n").mode == Mode::v1);
  CHECK(parse_layout("1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").mode == Mode::v2);
  CHECK(parse_layout("1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                     "2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n")
            .mode == Mode::v2);
  CHECK(parse_layout("1 0 0:1 / / rw - ext4 /dev/sda rw\n").mode == Mode::none);
  CHECK(parse_layout("").mode == Mode::none);
}

TEST_CASE("a hierarchy mounted twice counts once, at its usual place") {
  const Layout layout = parse_layout(
      "1 0 0:7 / /mnt/other rw - cgroup cgroup rw,memory\n"
      "2 0 0:7 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "3 0 0:7 / /mnt/third rw - cgroup cgroup rw,memory\n");
  REQUIRE(layout.hierarchies.size() == 1);
  CHECK(layout.hierarchies[0].mount_point == "/sys/fs/cgroup/memory");
}

TEST_CASE("octal escapes, unknown words and broken lines") {
  const Layout layout = parse_layout(
      "1 0 0:7 / /mnt/a\\040b rw - cgroup cgroup rw,freezer\n"
      "2 0 0:8 / /x rw - cgroup cgroup rw,mystery\n"
      "broken - cgroup\n"
      "- cgroup - cgroup -\n"
      "3 0 0:9");
  REQUIRE(layout.hierarchies.size() == 1);
  CHECK(layout.hierarchies[0].mount_point == "/mnt/a b");
}

TEST_CASE("values of control files") {
  CHECK(to_number("123\n", 7) == 123);
  CHECK(to_number("max\n", 7) == 7);
  CHECK(to_number("", 7) == 7);
  CHECK(to_number("12x", 7) == 7);
  CHECK(to_number("99999999999999999999999", 7) == 7);
  CHECK(keyed("low 1\noom 2\noom_kill 3\n", "oom_kill") == 3);
  CHECK(keyed("low 1\noom 2\noom_kill 3\n", "oom") == 2);
  CHECK(keyed("low 1", "lo", 9) == 9);
  CHECK(split("a,,b,", ',') == std::vector<std::string_view>{"a", "b"});
  CHECK(trim("\n a b \n") == "a b");
}

TEST_CASE("group paths") {
  CHECK(validate_path("/berth/0123").ok());
  CHECK(validate_path("/a/b.slice:x/c").ok());
  CHECK(validate_path("/..a/b").ok());
  for (const std::string& bad : {std::string("/a/.."), std::string("a"), std::string(""), std::string("//"),
                                 std::string("/a\x01"), std::string(1, '/') + std::string(256, 'a')})
    CHECK_FALSE(validate_path(bad).ok());
  std::string deep;
  for (int i = 0; i < 33; i++) deep += "/x";
  CHECK_FALSE(validate_path(deep).ok());
}
