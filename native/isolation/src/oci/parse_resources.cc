// The linux.resources object.
#include "oci/parse_parts.h"

namespace berth::oci {

namespace {

void read_rule(ObjectReader& in, DeviceRule& out) {
  std::string type;
  in.read("allow", out.allow);
  in.read("type", type);
  in.read("major", out.major);
  in.read("minor", out.minor);
  in.read("access", out.access);
  if (type.size() > 1 || (!type.empty() && std::string_view("abcu").find(type[0]) == std::string_view::npos))
    in.fail("type", "\"a\", \"b\" or \"c\"");
  if (!type.empty()) out.type = type[0] == 'u' ? 'c' : type[0];
  if (out.access.find_first_not_of("rwm") != std::string::npos) in.fail("access", "letters of \"rwm\"");
  if (out.major && *out.major < 0) out.major.reset();
  if (out.minor && *out.minor < 0) out.minor.reset();
}

void read_memory(ObjectReader& in, MemoryResources& out) {
  in.read("limit", out.limit);
  in.read("reservation", out.reservation);
  in.read("swap", out.swap);
  in.read("kernel", out.kernel);
  in.read("kernelTCP", out.kernel_tcp);
  in.read("swappiness", out.swappiness);
  in.read("disableOOMKiller", out.disable_oom_killer);
  in.read("useHierarchy", out.use_hierarchy);
  in.read("checkBeforeUpdate", out.check_before_update);
}

void read_cpu(ObjectReader& in, CpuResources& out) {
  in.read("shares", out.shares);
  in.read("quota", out.quota);
  in.read("burst", out.burst);
  in.read("period", out.period);
  in.read("realtimeRuntime", out.realtime_runtime);
  in.read("realtimePeriod", out.realtime_period);
  in.read("cpus", out.cpus);
  in.read("mems", out.mems);
  in.read("idle", out.idle);
}

void read_weight_device(ObjectReader& in, WeightDevice& out) {
  in.read("major", out.major);
  in.read("minor", out.minor);
  in.read("weight", out.weight);
  in.read("leafWeight", out.leaf_weight);
}

void read_throttle_device(ObjectReader& in, ThrottleDevice& out) {
  in.read("major", out.major);
  in.read("minor", out.minor);
  in.read("rate", out.rate);
}

void read_block_io(ObjectReader& in, BlockIoResources& out) {
  in.read("weight", out.weight);
  in.read("leafWeight", out.leaf_weight);
  in.read_list("weightDevice", out.weight_devices, read_weight_device);
  in.read_list("throttleReadBpsDevice", out.throttle_read_bps, read_throttle_device);
  in.read_list("throttleWriteBpsDevice", out.throttle_write_bps, read_throttle_device);
  in.read_list("throttleReadIOPSDevice", out.throttle_read_iops, read_throttle_device);
  in.read_list("throttleWriteIOPSDevice", out.throttle_write_iops, read_throttle_device);
}

void read_hugepage_limit(ObjectReader& in, HugepageLimit& out) {
  in.read("pageSize", out.page_size);
  in.read("limit", out.limit);
}

void read_network(ObjectReader& in, NetworkResources& out) {
  in.read("classID", out.class_id);
  in.read_list("priorities", out.priorities, [](ObjectReader& part, std::pair<std::string, uint32_t>& one) {
    part.read("name", one.first);
    part.read("priority", one.second);
  });
}

void read_rdma(ObjectReader& in, std::vector<RdmaLimit>& out) {
  const Json* json = in.member("rdma");
  if (json == nullptr) return;
  if (!json->is_object() || json->size() > kMaxElements) return in.fail("rdma", "an object of limits");
  for (const auto& [device, limit] : json->items()) {
    ObjectReader part(limit, in.name("rdma") + "." + device);
    RdmaLimit& one = out.emplace_back();
    one.device = device;
    part.read("hcaHandles", one.hca_handles);
    part.read("hcaObjects", one.hca_objects);
    if (in.adopt(part)) return;
  }
}

}  // namespace

void read_resources(ObjectReader& in, Resources& out) {
  in.read_list("devices", out.devices, read_rule);
  in.read_object("memory", [&](ObjectReader& part) { read_memory(part, out.memory.emplace()); });
  in.read_object("cpu", [&](ObjectReader& part) { read_cpu(part, out.cpu.emplace()); });
  in.read_object("pids", [&](ObjectReader& part) { part.read("limit", out.pids.emplace().limit); });
  in.read_object("blockIO", [&](ObjectReader& part) { read_block_io(part, out.block_io.emplace()); });
  in.read_list("hugepageLimits", out.hugepage_limits, read_hugepage_limit);
  in.read_object("network", [&](ObjectReader& part) { read_network(part, out.network.emplace()); });
  read_rdma(in, out.rdma);
  in.read("unified", out.unified);
}

}  // namespace berth::oci
