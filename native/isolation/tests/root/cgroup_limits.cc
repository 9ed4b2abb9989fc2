// Limits that are really enforced, and refusals that say what is wrong.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "cgroup_support.h"

using namespace berth;
using namespace berth::test;

namespace {

constexpr int64_t kMiB = 1 << 20;

void must(const Result<void>& result) {
  if (!result.ok()) FAIL(result.error().message());
}

oci::Resources memory(int64_t limit, std::optional<int64_t> swap = {}) {
  oci::Resources resources;
  auto& m = resources.memory.emplace();
  m.limit = limit;
  m.swap = swap;
  return resources;
}

oci::Resources cpu(std::optional<int64_t> quota, std::optional<uint64_t> period, std::optional<uint64_t> burst = {}) {
  oci::Resources resources;
  auto& c = resources.cpu.emplace();
  c.quota = quota;
  c.period = period;
  c.burst = burst;
  return resources;
}

/// Touches `bytes` of memory; the OOM killer may end it on the way.
int eat(size_t bytes) {
  auto* block = static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (block == MAP_FAILED) return 1;
  for (size_t i = 0; i < bytes; i += 4096) block[i] = 1;
  return 0;
}

bool readable_within(int fd, int ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  return ::poll(&poll_fd, 1, ms) == 1;
}

}  // namespace

TEST_CASE("memory: beyond the limit the kernel kills, and says so") {
  TestGroup group("oom");
  must(group->apply(memory(32 * kMiB, 32 * kMiB)));
  auto event = group->oom_fd();
  REQUIRE_MESSAGE(event.ok(), (event.ok() ? "" : event.error().message()));
  CHECK(!readable_within(event->get(), 0));
  Inside modest(*group, [] { return eat(8 << 20); });
  CHECK(modest.wait() == 0);
  CHECK(group->oom_kills() == 0);
  Inside greedy(*group, [] { return eat(256 << 20); });
  const int status = greedy.wait(60'000);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGKILL);
  CHECK(readable_within(event->get(), 5'000));
  cgroup::drain_oom_fd(event->get());
  CHECK(group->oom_kills() == 1);
  const auto stats = group->stats().value();
  CHECK(stats.oom_kills == 1);
  CHECK(stats.memory_limit == 32 * kMiB);
}

TEST_CASE("memory: limits rise and fall in either order") {
  TestGroup group("memory");
  for (const int64_t limit : {64, 256, 32, 512, 16}) {
    auto applied = group->apply(memory(limit * kMiB, limit * kMiB * 2));
    CHECK_MESSAGE(applied.ok(), (applied.ok() ? "" : applied.error().message()));
    CHECK(group->stats().value().memory_limit == static_cast<uint64_t>(limit * kMiB));
  }
  must(group->apply(memory(-1)));
  CHECK(group->stats().value().memory_limit == 0);
  auto contradiction = group->apply(memory(64 * kMiB, 32 * kMiB));
  REQUIRE(!contradiction.ok());
  CHECK(contradiction.error().code == EINVAL);
  oci::Resources soft;
  soft.memory.emplace().reservation = 24 * kMiB;
  must(group->apply(soft));
  CHECK(group.read("memory", is_v2() ? "memory.low" : "memory.soft_limit_in_bytes") == std::to_string(24 * kMiB));
}

TEST_CASE("pids: fork fails at the limit") {
  TestGroup group("pids");
  oci::Resources resources;
  resources.pids.emplace().limit = 5;
  must(group->apply(resources));
  Inside child(*group, [] {
    int made = 0;
    while (made < 10) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::pause();
        ::_exit(0);
      }
      if (pid < 0) break;
      made++;
    }
    const int error = errno;
    ::signal(SIGTERM, SIG_IGN);
    return made < 10 && error == EAGAIN ? made : 100;
  });
  CHECK(WEXITSTATUS(child.wait()) == 4);
  CHECK(group->stats().value().pids_limit == 5);
  resources.pids->limit = -1;
  must(group->apply(resources));
  CHECK(group->stats().value().pids_limit == 0);
}

TEST_CASE("cpu: a quota throttles") {
  TestGroup group("cpu");
  must(group->apply(cpu(10'000, 50'000)));
  Inside child(*group, [] {
    for (;;) {
    }
    return 0;
  });
  cgroup::Stats stats;
  for (int i = 0; i < 300 && stats.cpu_throttled_periods < 3; i++) {
    sleep_ms(20);
    stats = group->stats().value();
  }
  CHECK(stats.cpu_throttled_periods >= 3);
  CHECK(stats.cpu_throttled_ns > 0);
}

TEST_CASE("cpu: quota, period and burst in any order, shares, idle") {
  TestGroup group("cpuset-order");
  for (const auto& [quota, period, burst] : {std::tuple<int64_t, uint64_t, uint64_t>{20'000, 100'000, 10'000},
                                             {200'000, 100'000, 200'000}, {1'000, 10'000, 0}, {5'000, 1'000'000, 4'000}}) {
    auto applied = group->apply(cpu(quota, period, burst));
    CHECK_MESSAGE(applied.ok(), (applied.ok() ? "" : applied.error().message()));
    if (is_v2()) {
      CHECK(group.read("cpu", "cpu.max") == std::to_string(quota) + " " + std::to_string(period));
      CHECK(group.read("cpu", "cpu.max.burst") == std::to_string(burst));
    } else {
      CHECK(group.read("cpu", "cpu.cfs_quota_us") == std::to_string(quota));
      CHECK(group.read("cpu", "cpu.cfs_period_us") == std::to_string(period));
      CHECK(group.read("cpu", "cpu.cfs_burst_us") == std::to_string(burst));
    }
  }
  must(group->apply(cpu(-1, {})));
  CHECK(is_v2() ? group.read("cpu", "cpu.max") == "max 1000000" : group.read("cpu", "cpu.cfs_quota_us") == "-1");
  oci::Resources shares;
  shares.cpu.emplace().shares = 1024;
  must(group->apply(shares));
  CHECK(group.read("cpu", is_v2() ? "cpu.weight" : "cpu.shares") == (is_v2() ? "39" : "1024"));
  oci::Resources idle;
  idle.cpu.emplace().idle = 1;
  idle.cpu->shares = 512;
  must(group->apply(idle));
  CHECK(group.read("cpu", "cpu.idle") == "1");
  idle.cpu->idle = 0;
  must(group->apply(idle));
  CHECK(group.read("cpu", "cpu.idle") == "0");
  CHECK(group.read("cpu", is_v2() ? "cpu.weight" : "cpu.shares") == (is_v2() ? "20" : "512"));
}

TEST_CASE("cpuset: a process runs where it may") {
  TestGroup group("cpuset");
  oci::Resources resources;
  resources.cpu.emplace().cpus = "0";
  resources.cpu->mems = "0";
  must(group->apply(resources));
  Inside child(*group, [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    return CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set) ? 0 : 1;
  });
  CHECK(child.wait() == 0);
  resources.cpu->cpus = "0;rm";
  auto refused = group->apply(resources);
  REQUIRE(!refused.ok());
  CHECK(refused.error().object == "linux.resources.cpu.cpus");
}

TEST_CASE("refusals name controller, file and value") {
  TestGroup group("errors");
  auto bad_quota = group->apply(cpu(500, 1'000));
  REQUIRE(!bad_quota.ok());
  CHECK(bad_quota.error().message().find(is_v2() ? "cpu.max" : "cpu.cfs_quota_us") != std::string::npos);
  CHECK(bad_quota.error().message().find("500") != std::string::npos);
  oci::Resources network;
  network.network.emplace().class_id = 0x100001;
  if (group.directory("net_cls") == group.directory("")) {
    auto absent = group->apply(network);
    REQUIRE(!absent.ok());
    CHECK(absent.error().message().find("net_cls") != std::string::npos);
  }
  oci::Resources raw;
  raw.unified["../x.y"] = "1";
  auto path = group->apply(raw);
  REQUIRE(!path.ok());
  CHECK(path.error().code == EINVAL);
  raw.unified.clear();
  raw.unified["nonsense.file"] = "1";
  auto unknown = group->apply(raw);
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().message().find("nonsense") != std::string::npos);
  oci::Resources swappiness;
  swappiness.memory.emplace().swappiness = is_v2() ? 60 : 101;
  CHECK(!group->apply(swappiness).ok());
}

/// Something to read from a disk: a file on the file system of /var/tmp, or where that is no disk's (an initramfs) a disk
/// itself. Some hosts let nobody open the disk they run on.
struct DiskSource {
  std::string path;
  bool temporary = false;
  unsigned major = 0, minor = 0;
  ~DiskSource() {
    if (temporary) ::unlink(path.c_str());
  }
};

constexpr size_t kBlock = 1 << 17, kBlocks = 6;

void find_disk(DiskSource& out) {
  struct stat info;
  REQUIRE(::stat("/var/tmp", &info) == 0);
  std::string sys = "/sys/dev/block/" + std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  if (!slurp(sys + "/partition").empty()) sys += "/..";
  std::string number = slurp(sys + "/dev");
  if (!number.empty()) {
    out.path = "/var/tmp/berth-io-" + std::to_string(::getpid());
    out.temporary = true;
    const UniqueFd fd(::open(out.path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const std::string block(kBlock, 'x');
    for (size_t i = 0; i < kBlocks; i++) REQUIRE(::write(fd.get(), block.data(), kBlock) == static_cast<ssize_t>(kBlock));
    REQUIRE(::fsync(fd.get()) == 0);
  } else {
    out.path = "/dev/vda";
    REQUIRE_MESSAGE(::stat("/dev/vda", &info) == 0, "no disk to limit");
    number = std::to_string(major(info.st_rdev)) + ":" + std::to_string(minor(info.st_rdev));
  }
  REQUIRE(std::sscanf(number.c_str(), "%u:%u", &out.major, &out.minor) == 2);
}

TEST_CASE("io: limits for a block device") {
  DiskSource disk;
  find_disk(disk);
  TestGroup group("io");
  oci::Resources resources;
  auto& io = resources.block_io.emplace();
  resources.devices.push_back({true, 'b', disk.major, disk.minor, "r"});
  io.throttle_read_bps.push_back({disk.major, disk.minor, 1 << 20});
  io.throttle_write_iops.push_back({disk.major, disk.minor, 50});
  must(group->apply(resources));
  const std::string number = std::to_string(disk.major) + ":" + std::to_string(disk.minor);
  if (is_v2()) {
    CHECK(group.read("io", "io.max") == number + " rbps=1048576 wbps=max riops=max wiops=50");
  } else {
    CHECK(group.read("blkio", "blkio.throttle.read_bps_device") == number + " 1048576");
    CHECK(group.read("blkio", "blkio.throttle.write_iops_device") == number + " 50");
  }
  Inside child(*group, [&] {
    const int fd = ::open(disk.path.c_str(), O_RDONLY | O_DIRECT);
    if (fd < 0) return errno;
    void* buffer = nullptr;
    if (::posix_memalign(&buffer, 4096, kBlock) != 0) return 100;
    timespec a{}, b{};
    ::clock_gettime(CLOCK_MONOTONIC, &a);
    for (size_t i = 0; i < kBlocks; i++)
      if (::pread(fd, buffer, kBlock, static_cast<off_t>(i * kBlock)) != static_cast<ssize_t>(kBlock)) return 101;
    ::clock_gettime(CLOCK_MONOTONIC, &b);
    const double seconds = static_cast<double>(b.tv_sec - a.tv_sec) + static_cast<double>(b.tv_nsec - a.tv_nsec) / 1e9;
    return seconds > 0.4 ? 0 : 102;  // 0.75 MiB at 1 MiB/s, less what a throttle lets through at first
  });
  CHECK(WEXITSTATUS(child.wait()) == 0);
  CHECK(group->stats().value().io_read_bytes >= kBlock * kBlocks);
  io.throttle_read_bps[0].rate = 0;
  io.throttle_write_iops[0].rate = 0;
  must(group->apply(resources));
  CHECK(group.read(is_v2() ? "io" : "blkio", is_v2() ? "io.max" : "blkio.throttle.read_bps_device").empty());
}

TEST_CASE("v2: unified values, and parents that are not ours") {
  if (!is_v2()) return;  // the other half of the hosts: v1 has no such thing
  TestGroup group("unified");
  oci::Resources resources;
  resources.unified["memory.high"] = "50331648";
  resources.unified["pids.max"] = "33";
  must(group->apply(resources));
  CHECK(group.read("memory", "memory.high") == "50331648");
  CHECK(group->stats().value().pids_limit == 33);
  // A group with processes of its own cannot pass controllers on; we say so and move nobody.
  const std::string foreign = group_path("foreign");
  auto parent = cgroup::create(foreign);
  REQUIRE(parent.ok());
  Inside stranger(*parent.value(), [] {
    for (;;) ::pause();
    return 0;
  });
  auto child = cgroup::create(foreign + "/child");
  REQUIRE(child.ok());
  auto limited = child.value()->apply(memory(64 * kMiB));
  REQUIRE(!limited.ok());
  CHECK(limited.error().code == EBUSY);
  CHECK(limited.error().message().find("subtree_control") != std::string::npos);
  CHECK(slurp("/proc/" + std::to_string(stranger.pid()) + "/cgroup") == "0::" + foreign);
  CHECK(child.value()->remove().ok());
  CHECK(parent.value()->kill_all().ok());
  stranger.wait();
  CHECK(parent.value()->remove().ok());
}
