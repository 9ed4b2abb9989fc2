// Pausing, killing, removing, and hearing of OOM kills.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "cgroup/group.h"
#include "cgroup/tree.h"

namespace berth::cgroup {
namespace {

/// A task in an uninterruptible sleep (a dead NFS server) never freezes; nobody waits for it longer than this.
constexpr int64_t kFreezeTimeoutMs = 10'000;
/// SIGKILL to the last process gone: exit of a process with much memory takes a while, forever means a stuck driver.
constexpr int64_t kKillTimeoutMs = 10'000;
constexpr int64_t kRemoveTimeoutMs = 10'000;

int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

/// Waits where the kernel has nothing to wake us with: 0.5 ms first, doubled up to 16 ms.
class Backoff {
 public:
  void wait() {
    const timespec t{0, us_ * 1000};
    ::nanosleep(&t, nullptr);
    us_ = std::min<long>(us_ * 2, 16'000);
  }

 private:
  long us_ = 500;
};

/// Waits until `key` in the unified group's cgroup.events is `value`; the kernel notifies by POLLPRI. True if it came.
/// The kernel holds a notification back for 10 ms after the one before it (CGROUP_FILE_NOTIFY_MIN_INTV), so for the first
/// 15 ms we also look by ourselves, at growing distances.
Result<bool> wait_for_event(const Directory& group, std::string_view key, uint64_t value, int64_t timeout_ms) {
  BERTH_ASSIGN(const UniqueFd fd, group.open_file("cgroup.events", O_RDONLY));
  const int64_t deadline = now_ms() + timeout_ms;
  for (long own_look_us = 100;; own_look_us *= 2) {
    char text[256];
    const ssize_t n = ::pread(fd.get(), text, sizeof text, 0);
    if (n < 0) {
      // ENODEV: the group was removed meanwhile, so nothing is in it.
      if (errno == ENODEV) return true;
      return sys_error("read", group.path() + "/cgroup.events");
    }
    if (keyed(std::string_view(text, static_cast<size_t>(n)), key, ~value) == value) return true;
    const int64_t left = deadline - now_ms();
    if (left <= 0) return false;
    pollfd wait{fd.get(), POLLPRI, 0};
    timespec limit{left / 1000, left % 1000 * 1'000'000};
    if (own_look_us < 15'000) limit = {0, own_look_us * 1000};
    else own_look_us = 15'000;
    if (::ppoll(&wait, 1, &limit, nullptr) < 0 && errno != EINTR) return sys_error("poll", group.path());
  }
}

/// Looks at a freezing group, 16 ms apart most of the time, after which it is let run for a moment.
constexpr int kLooksBeforeThaw = 25;

/// v1: FREEZING can stay so when a task forks or is moved at the wrong moment. Writing again makes the kernel look again, and
/// where that does not help, beginning anew does.
Result<bool> set_v1_freezer(const Directory& group, bool freeze, int64_t timeout_ms) {
  const char* wanted = freeze ? "FROZEN" : "THAWED";
  const int64_t deadline = now_ms() + timeout_ms;
  Backoff backoff;
  for (int looks = 1;; looks++) {
    if (freeze && looks % kLooksBeforeThaw == 0) BERTH_TRY(group.write("freezer.state", "THAWED"));
    BERTH_TRY(group.write("freezer.state", wanted));
    BERTH_ASSIGN(const std::string state, group.read("freezer.state"));
    if (trim(state) == wanted) return true;
    if (now_ms() >= deadline) return false;
    backoff.wait();
  }
}

}  // namespace

Result<void> HostCgroup::set_frozen(bool freeze) {
  const char* what = freeze ? "freeze" : "thaw";
  if (unified() && unified()->has("cgroup.freeze")) {
    // v2's freezer where there is one, on hybrid hosts as well: what it stops can still be killed and traced.
    BERTH_TRY(unified()->write("cgroup.freeze", freeze ? "1" : "0"));
    BERTH_ASSIGN(const bool done, wait_for_event(*unified(), "frozen", freeze ? 1 : 0, kFreezeTimeoutMs));
    if (!done && freeze) {
      (void)unified()->write("cgroup.freeze", "0");
      return Error{ETIMEDOUT, what, unified()->path() + "/cgroup.freeze", "a process does not stop"};
    }
    // Somebody may have frozen the v1 group by hand.
    const Directory* old = freeze ? nullptr : v1("freezer");
    if (old && old->number("freezer.self_freezing") != 0)
      BERTH_TRY(set_v1_freezer(*old, false, kFreezeTimeoutMs));
    return {};
  }
  const Directory* old = v1("freezer");
  if (!old) return Error{ENOTSUP, what, "freezer", "this host mounts no freezer controller"};
  BERTH_ASSIGN(const bool done, set_v1_freezer(*old, freeze, kFreezeTimeoutMs));
  if (done) return {};
  if (freeze) (void)old->write("freezer.state", "THAWED");
  return Error{ETIMEDOUT, what, old->path() + "/freezer.state", "a process does not stop"};
}

Result<void> HostCgroup::freeze() { return set_frozen(true); }
Result<void> HostCgroup::thaw() { return set_frozen(false); }

Result<bool> HostCgroup::frozen() {
  if (unified() && unified()->number("cgroup.freeze") != 0) return true;
  const Directory* old = v1("freezer");
  return old && old->number("freezer.self_freezing") != 0;
}

Result<void> HostCgroup::kill_round() {
  const Directory* freezer = v1("freezer");
  const bool at_once = unified() && unified()->has("cgroup.kill");
  if (at_once) {
    BERTH_TRY(unified()->write("cgroup.kill", "1"));
    // Tasks stopped by v1's freezer do not take the signal.
    if (freezer && freezer->number("freezer.self_freezing") != 0) BERTH_TRY(freezer->write("freezer.state", "THAWED"));
  } else {
    // Frozen, nothing forks away between the list and the signal. Failing to freeze only costs another round.
    if (freezer) (void)set_v1_freezer(*freezer, true, 200);
    else if (unified() && unified()->has("cgroup.freeze")) (void)unified()->write("cgroup.freeze", "1");
    auto pids = processes();
    if (pids.ok())
      for (const pid_t pid : *pids) ::kill(pid, SIGKILL);
    if (freezer) BERTH_TRY(freezer->write("freezer.state", "THAWED"));
    else if (unified() && unified()->has("cgroup.freeze")) BERTH_TRY(unified()->write("cgroup.freeze", "0"));
    if (!pids.ok()) return pids.error();
  }
  return {};
}

Result<void> HostCgroup::kill_all() {
  const Member* member = representative();
  if (!member) return {};
  const int64_t deadline = now_ms() + kKillTimeoutMs;
  Backoff backoff;
  for (;;) {
    BERTH_TRY(kill_round());
    if (unified()) {
      // A round is repeated seldom: only a process added from outside survives the first.
      BERTH_ASSIGN(const bool empty, wait_for_event(*unified(), "populated", 0, std::min<int64_t>(1000, kKillTimeoutMs)));
      if (empty) return {};
    } else {
      BERTH_ASSIGN(const auto left, processes());
      if (left.empty()) return {};
      backoff.wait();
    }
    if (now_ms() >= deadline)
      return Error{ETIMEDOUT, "kill", member->dir.path(), "processes are left that do not end (uninterruptible?)"};
  }
}

Result<void> HostCgroup::remove() {
  const int64_t deadline = now_ms() + kRemoveTimeoutMs;
  const std::string relative = path_.substr(1);
  auto remove_one = [&](Member& member) -> Result<void> {
    if (!member.dir.valid()) return {};
    BERTH_ASSIGN(const Directory root, Directory::open(member.mount_point));
    Backoff backoff;
    for (;;) {
      auto removed = remove_tree(root.fd(), relative, member.dir.path());
      if (removed.ok() || removed.error().code != EBUSY || now_ms() >= deadline) return removed;
      // Killed processes that are still on their way out. The unified group tells when the last one has gone; it goes
      // from all hierarchies at once.
      if (unified()) {
        auto empty = wait_for_event(*unified(), "populated", 0, deadline - now_ms());
        if (empty.ok() && *empty) backoff.wait();
        else if (empty.ok()) return removed;
        else return empty.error();
      } else {
        backoff.wait();
      }
    }
  };
  for (auto& member : v1_) BERTH_TRY(remove_one(member));
  BERTH_TRY(remove_one(unified_));
  v1_.clear();
  unified_ = {};
  return {};
}

Result<UniqueFd> HostCgroup::oom_fd() {
  if (const Directory* memory = v1("memory")) {
    UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return sys_error("eventfd", memory->path());
    BERTH_ASSIGN(const UniqueFd control, memory->open_file("memory.oom_control", O_RDONLY));
    BERTH_TRY(memory->write("cgroup.event_control",
                            std::to_string(event.get()) + " " + std::to_string(control.get())));
    return event;
  }
  BERTH_TRY(need_unified("memory"));
  UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch) return sys_error("inotify_init1", unified()->path());
  const std::string file = unified()->path() + "/memory.events";
  if (::inotify_add_watch(watch.get(), file.c_str(), IN_MODIFY) < 0) return sys_error("inotify_add_watch", file);
  return watch;
}

uint64_t HostCgroup::oom_kills() {
  const Directory* memory = v1("memory");
  auto text = memory ? memory->read("memory.oom_control")
                     : (unified() ? unified()->read("memory.events") : Result<std::string>(std::string()));
  return text.ok() ? keyed(*text, "oom_kill") : 0;
}

bool HostCgroup::waits_for_memory() {
  const Directory* memory = v1("memory");
  if (memory == nullptr) return false;
  auto text = memory->read("memory.oom_control");
  return text.ok() && keyed(*text, "oom_kill_disable") == 1 && keyed(*text, "under_oom") == 1;
}

void drain_oom_fd(int fd) noexcept {
  alignas(inotify_event) char buffer[4096];
  while (::read(fd, buffer, sizeof buffer) > 0) {
  }
}

}  // namespace berth::cgroup
