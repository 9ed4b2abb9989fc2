// config.json to Spec: values, defaults, errors that name the field, bounds.
#include <doctest/doctest.h>

#include "oci/parse.h"

using berth::oci::parse_process;
using berth::oci::parse_resources;
using berth::oci::parse_spec;

namespace {

std::string spec_with(const std::string& rest) {
  return R"({"ociVersion":"1.2.0","root":{"path":"rootfs"},"process":{"args":["sh"],"cwd":"/"})" + rest + "}";
}

std::string failure(const std::string& rest) {
  const auto spec = parse_spec(spec_with(rest));
  return spec.ok() ? "" : spec.error().object;
}

}  // namespace

TEST_CASE("a small document") {
  const auto spec = parse_spec(spec_with(
      R"(,"hostname":"h","linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/x"}],"cgroupsPath":"/a/b"})"));
  REQUIRE(spec.ok());
  CHECK(spec.value().process->args[0] == "sh");
  CHECK(spec.value().hostname == "h");
  CHECK(spec.value().linux_.namespaces[1].path == "/x");
  CHECK(spec.value().linux_.cgroups_path == "/a/b");
  CHECK_FALSE(spec.value().linux_.resources.has_value());
  CHECK(berth::oci::find_namespace(spec.value(), berth::oci::NamespaceType::uts) == nullptr);
}

TEST_CASE("numbers that are absent stay absent") {
  const auto resources = parse_resources(R"({"memory":{"limit":-1},"cpu":{"quota":0},"pids":{}})");
  REQUIRE(resources.ok());
  CHECK(resources.value().memory->limit == -1);
  CHECK_FALSE(resources.value().memory->swap.has_value());
  CHECK(resources.value().cpu->quota == 0);
  CHECK_FALSE(resources.value().cpu->shares.has_value());
  CHECK_FALSE(resources.value().pids->limit.has_value());
}

TEST_CASE("device rules: -1 and absence are any") {
  const auto resources =
      parse_resources(R"({"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"u","major":1,"minor":-1}]})");
  REQUIRE(resources.ok());
  CHECK(resources.value().devices[0].type == 'a');
  CHECK(resources.value().devices[1].type == 'c');
  CHECK(resources.value().devices[1].major == 1);
  CHECK_FALSE(resources.value().devices[1].minor.has_value());
}

TEST_CASE("errors name the field") {
  CHECK(failure(R"(,"linux":{"namespaces":[{"type":"pid"},{"type":"moon"}]})") == "linux.namespaces[1].type");
  CHECK(failure(R"(,"linux":{"namespaces":[{"type":"pid"},{"type":"pid"}]})") == "linux.namespaces");
  CHECK(failure(R"(,"linux":{"resources":{"memory":{"limit":"1g"}}})") == "linux.resources.memory.limit");
  CHECK(failure(R"(,"linux":{"resources":{"pids":{"limit":1.5}}})") == "linux.resources.pids.limit");
  CHECK(failure(R"(,"mounts":[{"type":"tmpfs"}])") == "mounts[0].destination");
  CHECK(failure(R"(,"mounts":{})") == "mounts");
  CHECK(failure(R"(,"hostname":5)") == "hostname");
  CHECK(failure(R"(,"annotations":{"a":1})") == "annotations");
  CHECK(failure(R"(,"hooks":{"prestart":[{"path":"relative"}]})") == "hooks.prestart[0].path");
  CHECK(failure(R"(,"linux":{"uidMappings":[{"containerID":0,"hostID":0,"size":1}]})") == "linux.uidMappings");
  CHECK(failure(R"(,"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"x"}]}})") ==
        "linux.seccomp.syscalls[0].names");
  CHECK(parse_spec("{}").error().object == "ociVersion");
  CHECK(parse_spec(R"({"ociVersion":"2.0.0"})").error().object == "ociVersion");
  CHECK(parse_process(R"({"args":["a"],"cwd":"x"})").error().object == "process.cwd");
  CHECK(parse_process(R"({"args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]})").error().object ==
        "process.rlimits[0]");
}

TEST_CASE("a NUL byte can't hide the end of a path") {
  CHECK(failure(R"(,"hostname":"a\u0000b")") == "hostname");
}

TEST_CASE("bad documents") {
  CHECK_FALSE(parse_spec("").ok());
  CHECK_FALSE(parse_spec("[]").ok());
  CHECK_FALSE(parse_spec("{\"a\":").ok());
  CHECK_FALSE(parse_spec("\xff\xfe").ok());
}

TEST_CASE("bounds") {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "[";
  CHECK(parse_spec(deep).error().object == "document");
  CHECK(parse_spec(std::string(berth::oci::kMaxDocumentBytes + 1, ' ')).error().object == "document");
  std::string many = R"(,"annotations":{)";
  for (size_t i = 0; i <= berth::oci::kMaxElements; ++i) many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  CHECK(failure(many + "}") == "annotations");
  CHECK(failure(R"(,"hostname":")" + std::string(65, 'h') + "\"") == "hostname");
  // Brackets in strings are no nesting.
  CHECK(parse_spec(spec_with(R"(,"annotations":{"a":")" + deep + "\"}")).ok());
}

TEST_CASE("unknown fields are ignored, null is absent") {
  CHECK(parse_spec(spec_with(R"(,"x":{"y":[1]},"linux":{"seccomp":null,"new":1})")).ok());
}
