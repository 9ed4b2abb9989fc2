#include <algorithm>

#include "cgroup/limits.h"

namespace berth::cgroup {
namespace {

std::string number_or_max(int64_t value) { return value < 0 ? "max" : std::to_string(value); }

/// io.max lines: "8:0 rbps=1048576"; 0 takes the limit away, as in v1.
void throttle(const Directory& group, const char* key, const std::vector<oci::ThrottleDevice>& devices, Writes& out) {
  for (const auto& device : devices)
    out.push_back({&group, "io.max",
                   std::to_string(device.major) + ":" + std::to_string(device.minor) + " " + key + "=" +
                       (device.rate == 0 ? "max" : std::to_string(device.rate))});
}

Error no_v2(const char* field, const Directory& group) {
  return Error{ENOTSUP, "cgroup", group.path(), std::string(field) + " does not exist in cgroup v2"};
}

}  // namespace

uint64_t shares_to_weight(uint64_t shares) {
  const uint64_t bounded = std::clamp<uint64_t>(shares, 2, 262144);
  return 1 + (bounded - 2) * 9999 / 262142;
}

uint64_t blkio_to_io_weight(uint64_t weight) {
  const uint64_t bounded = std::clamp<uint64_t>(weight, 10, 1000);
  return 1 + (bounded - 10) * 9999 / 990;
}

Result<void> v2_cpu(const Directory& group, const oci::CpuResources& cpu, Writes& out) {
  if (cpu.idle) out.push_back({&group, "cpu.idle", std::to_string(*cpu.idle)});
  if (cpu.shares && *cpu.shares != 0 && cpu.idle.value_or(0) != 1)
    out.push_back({&group, "cpu.weight", std::to_string(shares_to_weight(*cpu.shares))});
  const bool quota = cpu.quota && *cpu.quota != 0, period = cpu.period && *cpu.period != 0;
  if (quota || period) {
    // "quota period"; a period alone must repeat the quota that is set.
    std::string text = quota ? number_or_max(*cpu.quota) : "";
    if (!quota) {
      auto current = group.read("cpu.max");
      const auto words = current.ok() ? split(trim(*current), ' ') : std::vector<std::string_view>{};
      text = words.empty() ? "max" : std::string(words[0]);
    }
    if (period) text += " " + std::to_string(*cpu.period);
    out.push_back({&group, "cpu.max", text});
  }
  if (cpu.burst) out.push_back({&group, "cpu.max.burst", std::to_string(*cpu.burst)});
  if ((cpu.realtime_runtime && *cpu.realtime_runtime != 0) || (cpu.realtime_period && *cpu.realtime_period != 0))
    return no_v2("linux.resources.cpu.realtimeRuntime/realtimePeriod", group);
  return {};
}

Result<std::string> v2_swap(const oci::MemoryResources& memory) {
  if (*memory.swap < 0) return std::string("max");
  if (!memory.limit || *memory.limit <= 0)
    return bad_input("linux.resources.memory.swap", "memory.limit beside it (swap is memory+swap)");
  if (*memory.swap < *memory.limit)
    return bad_input("linux.resources.memory.swap", "memory+swap, so not less than memory.limit");
  return std::to_string(*memory.swap - *memory.limit);
}

Result<void> v2_memory(const Directory& group, const oci::MemoryResources& memory, Writes& out) {
  if (memory.check_before_update.value_or(false) && memory.limit && *memory.limit > 0) {
    const uint64_t usage = group.number("memory.current");
    if (usage > static_cast<uint64_t>(*memory.limit))
      return Error{EBUSY, "cgroup", group.path() + "/memory.max",
                   "the limit is below the current usage of " + std::to_string(usage) + " bytes"};
  }
  oci::MemoryResources wanted = memory;
  if (wanted.swap && *wanted.swap == 0) wanted.swap.reset();
  if (wanted.limit && *wanted.limit == -1 && !wanted.swap) wanted.swap = -1;
  if (wanted.swap) {
    BERTH_ASSIGN(const std::string swap, v2_swap(wanted));
    // Without swap in the kernel no swap is what there is already.
    if (group.has("memory.swap.max") || (swap != "0" && swap != "max"))
      out.push_back({&group, "memory.swap.max", swap});
  }
  if (wanted.limit && *wanted.limit != 0) out.push_back({&group, "memory.max", number_or_max(*wanted.limit)});
  if (wanted.reservation && *wanted.reservation != 0)
    out.push_back({&group, "memory.low", number_or_max(*wanted.reservation)});
  if (wanted.swappiness) return no_v2("linux.resources.memory.swappiness", group);
  if (wanted.disable_oom_killer.value_or(false)) return no_v2("linux.resources.memory.disableOOMKiller", group);
  return {};
}

Result<void> v2_io(const Directory& group, const oci::BlockIoResources& io, Writes& out) {
  // bfq's weights are v1's (1..1000); io.weight is iocost's, in its own scale.
  const bool bfq = group.has("io.bfq.weight");
  auto weight = [&](const std::string& device, uint64_t value) {
    out.push_back({&group, bfq ? "io.bfq.weight" : "io.weight",
                   device + std::to_string(bfq ? value : blkio_to_io_weight(value))});
  };
  if (io.weight && *io.weight != 0) weight("default ", *io.weight);
  for (const auto& device : io.weight_devices) {
    if (device.weight) weight(std::to_string(device.major) + ":" + std::to_string(device.minor) + " ", *device.weight);
    if (device.leaf_weight) return no_v2("linux.resources.blockIO.weightDevice.leafWeight", group);
  }
  if (io.leaf_weight && *io.leaf_weight != 0) return no_v2("linux.resources.blockIO.leafWeight", group);
  throttle(group, "rbps", io.throttle_read_bps, out);
  throttle(group, "wbps", io.throttle_write_bps, out);
  throttle(group, "riops", io.throttle_read_iops, out);
  throttle(group, "wiops", io.throttle_write_iops, out);
  return {};
}

}  // namespace berth::cgroup
