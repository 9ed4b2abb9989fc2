// Counters of v1 and v2, in one form.
#include <algorithm>

#include "cgroup/group.h"

namespace berth::cgroup {
namespace {

/// v1 says "no limit" with the largest page-aligned number (LONG_MAX rounded down); anything near it is that.
constexpr uint64_t kV1Unlimited = uint64_t{1} << 62;

std::string text_of(const Directory& group, const char* file) {
  auto text = group.read(file);
  return text.ok() ? std::move(*text) : std::string();
}

/// Of one listing: a host has fewer devices and kinds of memory than this.
constexpr size_t kMaxEntries = 1024;

/// "8:0" of a line into the entry.
void read_device(std::string_view device, IoEntry& entry) {
  const size_t colon = device.find(':');
  if (colon == std::string_view::npos) return;
  entry.major = to_number(device.substr(0, colon), 0);
  entry.minor = to_number(device.substr(colon + 1), 0);
}

void add_entry(std::vector<IoEntry>& entries, std::string_view device, std::string_view op, uint64_t value) {
  if (entries.size() >= kMaxEntries) return;
  IoEntry entry{.op = std::string(op), .value = value};
  read_device(device, entry);
  entries.push_back(std::move(entry));
}

void read_details(const std::string& text, Stats& stats) {
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 2 || stats.memory_details.size() >= kMaxEntries) continue;
    stats.memory_details.emplace_back(std::string(words[0]), to_number(words[1], 0));
  }
}

/// v1: "8:0 Read 4096" lines, added up over devices.
void add_blkio(const std::string& text, uint64_t& read, uint64_t& written, std::vector<IoEntry>& entries) {
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    add_entry(entries, words[0], words[1], to_number(words[2], 0));
    if (words[1] == "Read") read += to_number(words[2], 0);
    if (words[1] == "Write") written += to_number(words[2], 0);
  }
}

/// v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
void add_io_stat(const std::string& text, Stats& stats) {
  for (const auto line : split(text, '\n')) {
    const auto device = line.substr(0, line.find(' '));
    for (const auto word : split(line, ' ')) {
      const size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      const auto key = word.substr(0, equals);
      const uint64_t value = to_number(word.substr(equals + 1), 0);
      if (key == "rbytes") stats.io_read_bytes += value, add_entry(stats.io_bytes, device, "read", value);
      if (key == "wbytes") stats.io_write_bytes += value, add_entry(stats.io_bytes, device, "write", value);
      if (key == "rios") stats.io_reads += value;
      if (key == "wios") stats.io_writes += value;
    }
  }
}

void v1_memory(const Directory& group, Stats& stats) {
  stats.memory_usage = group.number("memory.usage_in_bytes");
  stats.memory_max_usage = group.number("memory.max_usage_in_bytes");
  const uint64_t limit = group.number("memory.limit_in_bytes");
  stats.memory_limit = limit >= kV1Unlimited ? 0 : limit;
  const std::string details = text_of(group, "memory.stat");
  stats.memory_version = 1;
  stats.memory_failures = group.number("memory.failcnt");
  read_details(details, stats);
  stats.memory_cache = keyed(details, "total_cache");
  stats.memory_inactive_file = keyed(details, "total_inactive_file");
}

void v2_memory(const Directory& group, Stats& stats) {
  stats.memory_usage = group.number("memory.current");
  stats.memory_max_usage = group.number("memory.peak");  // Linux 5.19
  stats.memory_limit = group.number("memory.max");
  const std::string details = text_of(group, "memory.stat");
  stats.memory_version = 2;
  stats.memory_failures = keyed(text_of(group, "memory.events"), "oom");
  read_details(details, stats);
  stats.memory_cache = keyed(details, "file");
  stats.memory_inactive_file = keyed(details, "inactive_file");
}

void v2_cpu(const Directory& group, Stats& stats) {
  const std::string text = text_of(group, "cpu.stat");
  stats.cpu_usage_ns = keyed(text, "usage_usec") * 1000;
  stats.cpu_user_ns = keyed(text, "user_usec") * 1000;
  stats.cpu_system_ns = keyed(text, "system_usec") * 1000;
  stats.cpu_periods = keyed(text, "nr_periods");
  stats.cpu_throttled_periods = keyed(text, "nr_throttled");
  stats.cpu_throttled_ns = keyed(text, "throttled_usec") * 1000;
}

}  // namespace

Result<Stats> HostCgroup::stats() {
  Stats stats;
  // The unified group counts cpu time even where the controllers are v1 (cpu.stat is there without the controller).
  if (unified()) v2_cpu(*unified(), stats);
  if (const auto* group = v1("cpuacct")) {
    stats.cpu_usage_ns = group->number("cpuacct.usage");
    stats.cpu_user_ns = group->number("cpuacct.usage_user");
    stats.cpu_system_ns = group->number("cpuacct.usage_sys");
    const std::string each = text_of(*group, "cpuacct.usage_percpu");
    for (const auto word : split(trim(each), ' ')) stats.cpu_per_cpu_ns.push_back(to_number(word, 0));
  }
  if (const auto* group = v1("cpu")) {
    const std::string text = text_of(*group, "cpu.stat");
    stats.cpu_periods = keyed(text, "nr_periods");
    stats.cpu_throttled_periods = keyed(text, "nr_throttled");
    stats.cpu_throttled_ns = keyed(text, "throttled_time");
  }
  if (const auto* group = v1("memory")) v1_memory(*group, stats);
  else if (unified()) v2_memory(*unified(), stats);
  stats.oom_kills = oom_kills();
  const Directory* pids = v1("pids") ? v1("pids") : unified();
  if (pids) {
    stats.pids_current = pids->number("pids.current");
    stats.pids_limit = pids->number("pids.max");
  }
  if (const auto* group = v1("blkio")) {
    add_blkio(text_of(*group, "blkio.throttle.io_service_bytes_recursive"), stats.io_read_bytes, stats.io_write_bytes,
              stats.io_bytes);
    add_blkio(text_of(*group, "blkio.throttle.io_serviced_recursive"), stats.io_reads, stats.io_writes,
              stats.io_operations);
    stats.io_version = 1;
  } else if (unified()) {
    add_io_stat(text_of(*unified(), "io.stat"), stats);
    stats.io_version = 2;
  }
  return stats;
}

}  // namespace berth::cgroup
