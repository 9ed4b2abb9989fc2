#include "cgroup/limits.h"

namespace berth::cgroup {
namespace {

/// The block scheduler's own weight moved to bfq's files when cfq left the kernel (5.0).
Result<std::string> weight_file(const Directory& group, const char* classic, const char* bfq) {
  if (group.has(classic)) return std::string(classic);
  if (group.has(bfq)) return std::string(bfq);
  return Error{ENOTSUP, "cgroup", group.path() + "/" + classic, "this kernel's blkio controller has no weights"};
}

void throttle(const Directory& group, const char* file, const std::vector<oci::ThrottleDevice>& devices, Writes& out) {
  for (const auto& device : devices)
    out.push_back({&group, file,
                   std::to_string(device.major) + ":" + std::to_string(device.minor) + " " +
                       std::to_string(device.rate)});
}

}  // namespace

Result<void> v1_cpu(const Directory& group, const oci::CpuResources& cpu, Writes& out) {
  auto set = [&](const char* file, auto value) { out.push_back({&group, file, std::to_string(value)}); };
  if (cpu.idle) set("cpu.idle", *cpu.idle);
  // An idle group has no shares: the kernel refuses them.
  if (cpu.shares && *cpu.shares != 0 && cpu.idle.value_or(0) != 1) set("cpu.shares", *cpu.shares);
  if (cpu.period && *cpu.period != 0) set("cpu.cfs_period_us", *cpu.period);
  if (cpu.quota && *cpu.quota != 0) set("cpu.cfs_quota_us", *cpu.quota);
  if (cpu.burst) set("cpu.cfs_burst_us", *cpu.burst);
  if (cpu.realtime_period && *cpu.realtime_period != 0) set("cpu.rt_period_us", *cpu.realtime_period);
  if (cpu.realtime_runtime && *cpu.realtime_runtime != 0) set("cpu.rt_runtime_us", *cpu.realtime_runtime);
  return {};
}

Result<void> v1_memory(const Directory& group, const oci::MemoryResources& memory, Writes& out) {
  auto set = [&](const char* file, auto value) { out.push_back({&group, file, std::to_string(value)}); };
  const bool has_swap = group.has("memory.memsw.limit_in_bytes");
  auto swap = memory.swap;
  if (swap && *swap == 0) swap.reset();
  // Unlimited memory under a memory+swap limit is a contradiction; the wish for no limit covers both.
  if (memory.limit && *memory.limit == -1 && !swap && has_swap) swap = -1;
  if (swap && *swap == -1 && !has_swap) swap.reset();
  if (swap && *swap > 0 && memory.limit && *memory.limit > *swap)
    return bad_input("linux.resources.memory.swap", "memory+swap, so not less than memory.limit");
  if (memory.check_before_update.value_or(false) && memory.limit && *memory.limit > 0) {
    const uint64_t usage = group.number("memory.usage_in_bytes");
    if (usage > static_cast<uint64_t>(*memory.limit))
      return Error{EBUSY, "cgroup", group.path() + "/memory.limit_in_bytes",
                   "the limit is below the current usage of " + std::to_string(usage) + " bytes"};
  }
  // Rising: memory+swap must go first; falling: last. settle() finds the one that works.
  if (memory.limit && *memory.limit != 0) set("memory.limit_in_bytes", *memory.limit);
  if (swap) set("memory.memsw.limit_in_bytes", *swap);
  if (memory.reservation && *memory.reservation != 0) set("memory.soft_limit_in_bytes", *memory.reservation);
  // memory.kernel: ignored, as OCI allows and runtimes do since Linux deprecated it (5.4).
  if (memory.kernel_tcp && *memory.kernel_tcp != 0) set("memory.kmem.tcp.limit_in_bytes", *memory.kernel_tcp);
  if (memory.swappiness) {
    if (*memory.swappiness > 100) return bad_input("linux.resources.memory.swappiness", "0 to 100");
    set("memory.swappiness", *memory.swappiness);
  }
  if (memory.disable_oom_killer) out.push_back({&group, "memory.oom_control", *memory.disable_oom_killer ? "1" : "0"});
  return {};
}

Result<void> v1_blkio(const Directory& group, const oci::BlockIoResources& io, Writes& out) {
  if (io.weight && *io.weight != 0) {
    BERTH_ASSIGN(const std::string file, weight_file(group, "blkio.weight", "blkio.bfq.weight"));
    out.push_back({&group, file, std::to_string(*io.weight)});
  }
  if (io.leaf_weight && *io.leaf_weight != 0) {
    BERTH_ASSIGN(const std::string file, weight_file(group, "blkio.leaf_weight", "blkio.leaf_weight"));
    out.push_back({&group, file, std::to_string(*io.leaf_weight)});
  }
  for (const auto& device : io.weight_devices) {
    const std::string number = std::to_string(device.major) + ":" + std::to_string(device.minor) + " ";
    if (device.weight) {
      BERTH_ASSIGN(const std::string file, weight_file(group, "blkio.weight_device", "blkio.bfq.weight_device"));
      out.push_back({&group, file, number + std::to_string(*device.weight)});
    }
    if (device.leaf_weight) {
      BERTH_ASSIGN(const std::string file, weight_file(group, "blkio.leaf_weight_device", "blkio.leaf_weight_device"));
      out.push_back({&group, file, number + std::to_string(*device.leaf_weight)});
    }
  }
  throttle(group, "blkio.throttle.read_bps_device", io.throttle_read_bps, out);
  throttle(group, "blkio.throttle.write_bps_device", io.throttle_write_bps, out);
  throttle(group, "blkio.throttle.read_iops_device", io.throttle_read_iops, out);
  throttle(group, "blkio.throttle.write_iops_device", io.throttle_write_iops, out);
  return {};
}

}  // namespace berth::cgroup
