// OCI's numbers as cgroup v1 and v2 take them.
#include <doctest/doctest.h>

#include "cgroup/limits.h"

using namespace berth;
using namespace berth::cgroup;

namespace {

/// "file=value" of each write, for a group that has no files to read.
std::vector<std::string> texts(const Writes& writes) {
  std::vector<std::string> out;
  for (const auto& write : writes) out.push_back(write.file + "=" + write.value);
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("weights") {
  CHECK(shares_to_weight(2) == 1);
  CHECK(shares_to_weight(1024) == 39);
  CHECK(shares_to_weight(262144) == 10000);
  CHECK(shares_to_weight(0) == 1);
  CHECK(shares_to_weight(~uint64_t{0}) == 10000);
  CHECK(blkio_to_io_weight(10) == 1);
  CHECK(blkio_to_io_weight(1000) == 10000);
}

TEST_CASE("v2 memory: swap is what is beyond memory") {
  const Directory group;
  auto writes_for = [&](std::optional<int64_t> limit, std::optional<int64_t> swap) {
    oci::MemoryResources memory;
    memory.limit = limit;
    memory.swap = swap;
    Writes writes;
    auto result = v2_memory(group, memory, writes);
    return result.ok() ? texts(writes) : Texts{result.error().object};
  };
  CHECK(writes_for(100, 150) == Texts{"memory.swap.max=50", "memory.max=100"});
  CHECK(writes_for(100, 100) == Texts{"memory.max=100"});  // no swap file: there is no swap to forbid
  CHECK(writes_for(100, -1) == Texts{"memory.max=100"});
  CHECK(writes_for(-1, {}) == Texts{"memory.max=max"});
  CHECK(writes_for(100, 50) == Texts{"linux.resources.memory.swap"});
  CHECK(writes_for({}, 50) == Texts{"linux.resources.memory.swap"});
  CHECK(writes_for({}, {}) == Texts{});
}

TEST_CASE("v2 cpu") {
  const Directory group;
  auto writes_for = [&](oci::CpuResources cpu) {
    Writes writes;
    auto result = v2_cpu(group, cpu, writes);
    return result.ok() ? texts(writes) : Texts{"error"};
  };
  oci::CpuResources cpu;
  cpu.quota = 50000;
  cpu.period = 100000;
  CHECK(writes_for(cpu) == Texts{"cpu.max=50000 100000"});
  cpu.quota = -1;
  CHECK(writes_for(cpu) == Texts{"cpu.max=max 100000"});
  cpu.quota.reset();
  CHECK(writes_for(cpu) == Texts{"cpu.max=max 100000"});
  cpu = {};
  cpu.quota = 1000;
  CHECK(writes_for(cpu) == Texts{"cpu.max=1000"});
  cpu = {};
  cpu.shares = 1024;
  cpu.idle = 1;
  CHECK(writes_for(cpu) == Texts{"cpu.idle=1"});
  cpu = {};
  cpu.realtime_runtime = 5;
  CHECK(writes_for(cpu) == Texts{"error"});
}

TEST_CASE("v2 io") {
  const Directory group;
  oci::BlockIoResources io;
  io.weight = 500;
  io.throttle_read_bps.push_back({8, 0, 1000});
  io.throttle_write_iops.push_back({8, 16, 0});
  Writes writes;
  REQUIRE(v2_io(group, io, writes).ok());
  CHECK(texts(writes) == Texts{"io.weight=default 4950", "io.max=8:0 rbps=1000", "io.max=8:16 wiops=max"});
}

TEST_CASE("cpu lists") {
  CHECK(validate_cpu_list("f", "0-3,7").ok());
  CHECK_FALSE(validate_cpu_list("f", "0-3,7\n").ok());
  CHECK_FALSE(validate_cpu_list("f", "all").ok());
}
