// Which controller of this host takes which of OCI's resources, and the writes in an order the kernel accepts.
#include <algorithm>
#include <cctype>

#include "cgroup/devices.h"
#include "cgroup/group.h"
#include "cgroup/limits.h"

namespace berth::cgroup {
namespace {

constexpr size_t kMaxUnified = 256, kMaxListed = 1024;

Result<void> validate_name(const std::string& field, const std::string& name) {
  const bool bad = name.empty() || name.size() > 128 || name == "." || name == ".." ||
                   std::any_of(name.begin(), name.end(), [](unsigned char c) { return c <= 0x20 || c == '/' || c == 0x7f; });
  if (bad) return bad_input(field, "a plain name, not \"" + name + "\"");
  return {};
}

}  // namespace

Result<void> settle(const Writes& writes) {
  std::vector<const Write*> left;
  for (const auto& write : writes) left.push_back(&write);
  while (!left.empty()) {
    std::vector<const Write*> refused;
    Error first;
    for (const Write* write : left) {
      auto done = write->group->write(write->file.c_str(), write->value);
      if (done.ok()) continue;
      if (done.error().code != EINVAL) return done.error();
      if (refused.empty()) first = done.error();
      refused.push_back(write);
    }
    if (refused.size() == left.size()) return first;
    left = std::move(refused);
  }
  return {};
}

Result<void> validate_cpu_list(const std::string& field, const std::string& list) {
  const bool bad = list.size() > 4096 || std::any_of(list.begin(), list.end(), [](unsigned char c) {
                     return !(std::isdigit(c) || c == '-' || c == ',');
                   });
  if (bad) return bad_input(field, "a list such as 0-3,7");
  return {};
}

Result<void> HostCgroup::apply(const oci::Resources& resources) {
  Writes writes;
  // Each of these takes the v1 group if the host has the controller there, else the unified one.
  auto group_for = [&](const char* v1_name, const char* v2_name) -> Result<const Directory*> {
    if (const Directory* old = v1(v1_name)) return old;
    if (!v2_name) return Error{ENOTSUP, "cgroup", v1_name, "this host mounts no such controller"};
    BERTH_TRY(need_unified(v2_name));
    return unified();
  };

  if (resources.pids && resources.pids->limit && *resources.pids->limit != 0) {
    BERTH_ASSIGN(const Directory* group, group_for("pids", "pids"));
    const int64_t limit = *resources.pids->limit;
    writes.push_back({group, "pids.max", limit < 0 ? "max" : std::to_string(limit)});
  }
  if (resources.memory) {
    Writes memory;
    const auto& m = *resources.memory;
    const bool any = m.limit || m.reservation || m.swap || m.kernel_tcp || m.swappiness ||
                     m.disable_oom_killer.value_or(false);
    if (any) {
      BERTH_ASSIGN(const Directory* group, group_for("memory", "memory"));
      BERTH_TRY(v1("memory") ? v1_memory(*group, m, memory) : v2_memory(*group, m, memory));
      writes.insert(writes.end(), memory.begin(), memory.end());
    }
  }
  if (resources.cpu) {
    const auto& c = *resources.cpu;
    if (c.shares || c.quota || c.period || c.burst || c.idle || c.realtime_period || c.realtime_runtime) {
      BERTH_ASSIGN(const Directory* group, group_for("cpu", "cpu"));
      BERTH_TRY(v1("cpu") ? v1_cpu(*group, c, writes) : v2_cpu(*group, c, writes));
    }
    if (!c.cpus.empty() || !c.mems.empty()) {
      BERTH_TRY(validate_cpu_list("linux.resources.cpu.cpus", c.cpus));
      BERTH_TRY(validate_cpu_list("linux.resources.cpu.mems", c.mems));
      BERTH_ASSIGN(const Directory* group, group_for("cpuset", "cpuset"));
      if (!c.cpus.empty()) writes.push_back({group, "cpuset.cpus", c.cpus});
      if (!c.mems.empty()) writes.push_back({group, "cpuset.mems", c.mems});
    }
  }
  if (resources.block_io) {
    const auto& io = *resources.block_io;
    const bool any = io.weight.value_or(0) || io.leaf_weight.value_or(0) || !io.weight_devices.empty() ||
                     !io.throttle_read_bps.empty() || !io.throttle_write_bps.empty() ||
                     !io.throttle_read_iops.empty() || !io.throttle_write_iops.empty();
    if (any) {
      BERTH_ASSIGN(const Directory* group, group_for("blkio", "io"));
      BERTH_TRY(v1("blkio") ? v1_blkio(*group, io, writes) : v2_io(*group, io, writes));
    }
  }
  BERTH_TRY(collect_rest(resources, writes));
  BERTH_TRY(settle(writes));
  return apply_devices(resources);
}

/// hugetlb, rdma, network and the raw v2 values.
Result<void> HostCgroup::collect_rest(const oci::Resources& resources, Writes& writes) {
  if (resources.hugepage_limits.size() > kMaxListed || resources.rdma.size() > kMaxListed)
    return bad_input("linux.resources", "at most 1024 entries in a list");
  for (const auto& page : resources.hugepage_limits) {
    BERTH_TRY(validate_name("linux.resources.hugepageLimits.pageSize", page.page_size));
    const Directory* old = v1("hugetlb");
    if (!old) BERTH_TRY(need_unified("hugetlb"));
    const Directory* group = old ? old : unified();
    const std::string suffix = old ? ".limit_in_bytes" : ".max", name = "hugetlb." + page.page_size;
    writes.push_back({group, name + suffix, std::to_string(page.limit)});
    // Reservations count too where the kernel can (5.7): else a process dies of SIGBUS at first touch.
    if (group->has((name + ".rsvd" + suffix).c_str()))
      writes.push_back({group, name + ".rsvd" + suffix, std::to_string(page.limit)});
  }
  for (const auto& limit : resources.rdma) {
    BERTH_TRY(validate_name("linux.resources.rdma", limit.device));
    const Directory* old = v1("rdma");
    if (!old) BERTH_TRY(need_unified("rdma"));
    std::string text = limit.device;
    if (limit.hca_handles) text += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) text += " hca_object=" + std::to_string(*limit.hca_objects);
    writes.push_back({old ? old : unified(), "rdma.max", text});
  }
  if (resources.network) {
    const auto& network = *resources.network;
    if (network.class_id && *network.class_id != 0) {
      const Directory* group = v1("net_cls");
      if (!group) return Error{ENOTSUP, "cgroup", "net_cls", "this host mounts no such controller (it is v1 only)"};
      writes.push_back({group, "net_cls.classid", std::to_string(*network.class_id)});
    }
    for (const auto& [interface, priority] : network.priorities) {
      BERTH_TRY(validate_name("linux.resources.network.priorities", interface));
      const Directory* group = v1("net_prio");
      if (!group) return Error{ENOTSUP, "cgroup", "net_prio", "this host mounts no such controller (it is v1 only)"};
      writes.push_back({group, "net_prio.ifpriomap", interface + " " + std::to_string(priority)});
    }
  }
  if (resources.unified.size() > kMaxUnified) return bad_input("linux.resources.unified", "at most 256 files");
  for (const auto& [file, value] : resources.unified) {
    BERTH_TRY(validate_name("linux.resources.unified", file));
    if (!unified()) return Error{ENOTSUP, "cgroup", file, "linux.resources.unified needs cgroup v2"};
    const size_t dot = file.find('.');
    if (dot == std::string::npos) return bad_input("linux.resources.unified", "controller.file, not \"" + file + "\"");
    const std::string controller = file.substr(0, dot);
    if (controller != "cgroup") BERTH_TRY(need_unified(controller));
    // A multi-line value is several values: the files take one line a write.
    for (const auto line : split(value, '\n')) writes.push_back({unified(), file, std::string(line)});
  }
  return {};
}

}  // namespace berth::cgroup
