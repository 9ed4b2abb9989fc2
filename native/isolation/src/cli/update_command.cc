// update: new limits for a running container, from a resources object or from flags.
#include <unistd.h>

#include "base/file.h"
#include "cli/commands.h"
#include "oci/parse.h"

namespace berth::cli {

namespace {

const std::vector<Flag> kUpdateFlags = {
    {"resources", 'r', true},    {"blkio-weight", 0, true},     {"cpu-period", 0, true},
    {"cpu-quota", 0, true},      {"cpu-burst", 0, true},        {"cpu-share", 0, true},
    {"cpu-shares", 0, true},     {"cpu-rt-period", 0, true},    {"cpu-rt-runtime", 0, true},
    {"cpuset-cpus", 0, true},    {"cpuset-mems", 0, true},      {"cpu-idle", 0, true},
    {"kernel-memory", 0, true},  {"kernel-memory-tcp", 0, true}, {"memory", 0, true},
    {"memory-reservation", 0, true}, {"memory-swap", 0, true},  {"pids-limit", 0, true},
};

template <typename T>
Result<void> number(const Args& args, const char* flag, std::optional<T>& out) {
  if (!args.has(flag)) return {};
  const std::string text = args.get(flag);
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0) return bad_input(std::string("--") + flag, "a number, got " + text);
  out = static_cast<T>(value);
  return {};
}

Result<void> from_flags(const Args& args, oci::Resources& out) {
  oci::CpuResources cpu;
  BERTH_TRY(number(args, "cpu-period", cpu.period));
  BERTH_TRY(number(args, "cpu-quota", cpu.quota));
  BERTH_TRY(number(args, "cpu-burst", cpu.burst));
  BERTH_TRY(number(args, "cpu-share", cpu.shares));
  BERTH_TRY(number(args, "cpu-shares", cpu.shares));
  BERTH_TRY(number(args, "cpu-rt-period", cpu.realtime_period));
  BERTH_TRY(number(args, "cpu-rt-runtime", cpu.realtime_runtime));
  BERTH_TRY(number(args, "cpu-idle", cpu.idle));
  cpu.cpus = args.get("cpuset-cpus");
  cpu.mems = args.get("cpuset-mems");
  oci::MemoryResources memory;
  BERTH_TRY(number(args, "memory", memory.limit));
  BERTH_TRY(number(args, "memory-reservation", memory.reservation));
  BERTH_TRY(number(args, "memory-swap", memory.swap));
  BERTH_TRY(number(args, "kernel-memory", memory.kernel));
  BERTH_TRY(number(args, "kernel-memory-tcp", memory.kernel_tcp));
  oci::PidsResources pids;
  BERTH_TRY(number(args, "pids-limit", pids.limit));
  oci::BlockIoResources block_io;
  BERTH_TRY(number(args, "blkio-weight", block_io.weight));
  out.cpu = std::move(cpu);
  out.memory = memory;
  if (pids.limit) out.pids = pids;
  if (block_io.weight) out.block_io = std::move(block_io);
  return {};
}

}  // namespace

Result<int> update(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, kUpdateFlags, false));
  BERTH_ASSIGN(const std::string id, only_id(args));
  oci::Resources resources;
  if (args.has("resources")) {
    const std::string path = args.get("resources");
    BERTH_ASSIGN(const std::string text, path == "-" ? read_fd(0, "stdin") : read_file(path, oci::kMaxDocumentBytes));
    BERTH_ASSIGN(resources, oci::parse_resources(text));
  } else {
    BERTH_TRY(from_flags(args, resources));
  }
  lifecycle::Store store(globals.root);
  BERTH_TRY(lifecycle::update(store, id, resources));
  return 0;
}

}  // namespace berth::cli
