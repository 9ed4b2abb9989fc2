// A short, repeatable run of the bundle parser's fuzz target in every test run; the long runs are libFuzzer's.
#include <doctest/doctest.h>

#define LLVMFuzzerTestOneInput fuzz_oci_spec
#include "../fuzz/oci_spec.cc"
#undef LLVMFuzzerTestOneInput

#include <random>
#include <string>

namespace {

const std::string kSeeds[] = {
    R"({"ociVersion":"1.2.0","root":{"path":"rootfs","readonly":true},"hostname":"h","process":{"terminal":true,)"
    R"("consoleSize":{"height":1,"width":2},"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},"args":["sh"],)"
    R"("env":["A=b"],"cwd":"/","capabilities":{"bounding":["CAP_KILL"]},"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":2}],)"
    R"("oomScoreAdj":5,"scheduler":{"policy":"SCHED_OTHER","nice":1},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":1}}})",
    R"({"ociVersion":"1.2.0","mounts":[{"destination":"/x","type":"tmpfs","source":"t","options":["rro","size=1k"],)"
    R"("uidMappings":[{"containerID":0,"hostID":1,"size":2}]}],"hooks":{"poststop":[{"path":"/a","args":["a"],"env":["b"],)"
    R"("timeout":5}]},"annotations":{"a":"b"}})",
    R"({"ociVersion":"1.2.0","linux":{"namespaces":[{"type":"user"},{"type":"time","path":"/p"}],"uidMappings":)"
    R"([{"containerID":0,"hostID":1,"size":2}],"sysctl":{"net.a":"1"},"timeOffsets":{"monotonic":{"secs":-1,"nanosecs":2}},)"
    R"("devices":[{"path":"/dev/x","type":"c","major":1,"minor":2,"fileMode":438,"uid":1}],"seccomp":{"defaultAction":)"
    R"("SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["a"],"action":"b","errnoRet":1,"args":)"
    R"([{"index":1,"value":18446744073709551615,"valueTwo":2,"op":"SCMP_CMP_EQ"}]}]},"memoryPolicy":{"mode":"MPOL_BIND"}}})",
    R"({"devices":[{"allow":true,"type":"c","major":1,"minor":-1,"access":"rw"}],"memory":{"limit":-1,"swappiness":1},)"
    R"("cpu":{"shares":1,"quota":-1,"cpus":"0-1"},"pids":{"limit":1},"blockIO":{"weight":1,"throttleReadBpsDevice":)"
    R"([{"major":1,"minor":2,"rate":3}]},"hugepageLimits":[{"pageSize":"2MB","limit":1}],"network":{"classID":1,"priorities":)"
    R"([{"name":"lo","priority":1}]},"rdma":{"d":{"hcaHandles":1}},"unified":{"a":"b"}})",
    "root:x:0:0:r:/root:/bin/sh\nweb:x:33:44::/srv:\nwheel:x:10:root,web\n7:x:7:7::/:\n",
};

}  // namespace

TEST_CASE("damaged configurations are refused or read, never more") {
  std::mt19937 random(20260101);
  for (int round = 0; round < 4000; ++round) {
    std::string text = kSeeds[static_cast<size_t>(round) % std::size(kSeeds)];
    for (unsigned changes = round < 10 ? 0 : 1 + random() % 6; changes > 0 && !text.empty(); --changes) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 9);
          break;
        case 2:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
        default:
          text.insert(at, 1, "{}[]\",:0-"[random() % 9]);
      }
    }
    CHECK(fuzz_oci_spec(reinterpret_cast<const uint8_t*>(text.data()), text.size()) == 0);
  }
}
