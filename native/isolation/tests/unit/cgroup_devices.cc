// Device rules: what is left of a list, and what the eBPF program says to it.
#include "cgroup/devices.h"

#include <doctest/doctest.h>

#include <random>

#include "bpf_machine.h"

using namespace berth;
using namespace berth::cgroup;

namespace {

oci::DeviceRule rule(bool allow, char type, std::optional<int64_t> major, std::optional<int64_t> minor,
                     const std::string& access = "") {
  return {allow, type, major, minor, access};
}

bool asks(const std::vector<bpf_insn>& program, char type, uint32_t major, uint32_t minor, uint32_t access) {
  const uint32_t kind = type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  return test::run_device_program(program, {(access << 16) | kind, major, minor}) == 1;
}

/// One access bit, straight from OCI's text: the last rule that matches decides.
bool by_the_book(const std::vector<oci::DeviceRule>& rules, char type, int64_t major, int64_t minor, char access) {
  bool allowed = false;
  for (const auto& r : rules) {
    if (r.type != 'a' && r.type != type) continue;
    if (r.major && *r.major >= 0 && *r.major != major) continue;
    if (r.minor && *r.minor >= 0 && *r.minor != minor) continue;
    if (!r.access.empty() && r.access.find(access) == std::string::npos) continue;
    allowed = r.allow;
  }
  return allowed;
}

}  // namespace

TEST_CASE("no rule: the standard devices alone") {
  auto policy = reduce_devices({}, false);
  REQUIRE(policy.ok());
  const auto program = device_program(*policy);
  CHECK(asks(program, 'c', 1, 3, kDeviceRead | kDeviceWrite));
  CHECK(asks(program, 'c', 136, 77, kDeviceRead | kDeviceWrite));
  CHECK(asks(program, 'c', 10, 229, kDeviceMknod));
  CHECK(asks(program, 'b', 8, 0, kDeviceMknod));
  CHECK_FALSE(asks(program, 'c', 10, 229, kDeviceRead));
  CHECK_FALSE(asks(program, 'b', 8, 0, kDeviceRead));
  CHECK_FALSE(asks(program, 'b', 1, 3, kDeviceRead));
}

TEST_CASE("rules for the same device add up, and a reset clears") {
  auto policy = reduce_devices({rule(true, 'c', 9, 9), rule(false, 'a', {}, {}, "rwm"), rule(true, 'c', 4, 1, "r"),
                                rule(true, 'c', 4, 1, "w")},
                               false);
  REQUIRE(policy.ok());
  const auto program = device_program(*policy);
  CHECK(asks(program, 'c', 4, 1, kDeviceRead | kDeviceWrite));
  CHECK_FALSE(asks(program, 'c', 4, 2, kDeviceRead));
  CHECK_FALSE(asks(program, 'c', 9, 9, kDeviceRead));
}

TEST_CASE("v1 refuses what it cannot express, v2 does it") {
  const std::vector<oci::DeviceRule> hole = {rule(true, 'c', 4, {}), rule(false, 'c', 4, 7)};
  CHECK_FALSE(reduce_devices(hole, false).ok());
  auto policy = reduce_devices(hole, true);
  REQUIRE(policy.ok());
  const auto program = device_program(*policy);
  CHECK(asks(program, 'c', 4, 6, kDeviceRead));
  CHECK_FALSE(asks(program, 'c', 4, 7, kDeviceRead));
}

TEST_CASE("bad rules") {
  CHECK_FALSE(reduce_devices({rule(true, 'c', 1, 1, "rx")}, true).ok());
  CHECK_FALSE(reduce_devices({rule(true, 'c', 4096, 1)}, true).ok());
  CHECK_FALSE(reduce_devices({rule(true, 'c', 1, -2)}, true).ok());
  CHECK_FALSE(reduce_devices(std::vector<oci::DeviceRule>(1025, rule(true, 'c', 1, 1)), true).ok());
}

TEST_CASE("random lists: the program says what the list says, bit by bit") {
  std::mt19937 random(20261122);
  auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  constexpr const char* kAccesses[] = {"r", "w", "m", "rw", "rm", "rwm", ""};
  for (int round = 0; round < 300; round++) {
    std::vector<oci::DeviceRule> rules;
    for (int i = pick(8); i >= 0; i--) {
      const char type = "acb"[pick(3)];
      auto number = [&]() { return pick(3) == 0 ? std::optional<int64_t>() : std::optional<int64_t>(300 + pick(3)); };
      rules.push_back(rule(pick(2) == 1, type, number(), number(), kAccesses[pick(7)]));
    }
    auto policy = reduce_devices(rules, true);
    REQUIRE(policy.ok());
    const auto program = device_program(*policy);
    for (const char type : {'c', 'b'})
      for (uint32_t major = 300; major < 304; major++)
        for (uint32_t minor = 300; minor < 304; minor++) {
          CHECK(asks(program, type, major, minor, kDeviceRead) == by_the_book(rules, type, major, minor, 'r'));
          CHECK(asks(program, type, major, minor, kDeviceWrite) == by_the_book(rules, type, major, minor, 'w'));
        }
  }
}
