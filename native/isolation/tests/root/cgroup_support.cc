#include "cgroup_support.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/clone.h"
#include "cgroup/detect.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

namespace berth::test {
namespace {

/// The parents of all test groups go when the process ends.
struct RemoveParent {
  ~RemoveParent() {
    if (auto parent = cgroup::open("/berth-test-" + std::to_string(::getpid())); parent.ok()) (void)parent.value()->remove();
  }
};

}  // namespace

std::string group_path(const std::string& name) {
  static RemoveParent remove_parent;
  return "/berth-test-" + std::to_string(::getpid()) + "/" + name;
}

TestGroup::TestGroup(const std::string& name) : path_(group_path(name)) {
  auto made = cgroup::create(path_);
  if (!made.ok()) FAIL("create: ", made.error().message());
  group_ = std::move(made).value();
}

TestGroup::~TestGroup() {
  if (auto killed = group_->kill_all(); !killed.ok()) MESSAGE("kill_all: ", killed.error().message());
  if (auto removed = group_->remove(); !removed.ok()) MESSAGE("remove: ", removed.error().message());
}

std::string TestGroup::directory(const std::string& controller) const {
  std::string unified;
  for (const auto& [name, path] : group_->paths()) {
    if (name == controller) return path;
    if (name.empty()) unified = path;
  }
  return unified;
}

std::string TestGroup::read(const std::string& controller, const std::string& file) const {
  return slurp(directory(controller) + "/" + file);
}

Inside::Inside(cgroup::Cgroup& group, const std::function<int()>& body) {
  auto entry = group.entry();
  if (!entry.ok()) FAIL("entry: ", entry.error().message());
  const bool into = entry->clone_into.valid();
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  pid_ = clone_process(into ? CLONE_INTO_CGROUP : 0, SIGCHLD, nullptr, into ? entry->clone_into.get() : -1);
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    if (cgroup::enter(*entry, into) != 0) ::_exit(99);
    if (::write(ready[1], "", 1) != 1) ::_exit(98);
    ::_exit(body());
  }
  ::close(ready[1]);
  char byte;
  const ssize_t told = ::read(ready[0], &byte, 1);
  ::close(ready[0]);
  REQUIRE(told == 1);
}

Inside::~Inside() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int Inside::wait(int ms) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  REQUIRE(fd.valid());
  pollfd poll_fd{fd.get(), POLLIN, 0};
  if (::poll(&poll_fd, 1, ms) != 1) return -1;
  int status = -1;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

bool is_v2() { return cgroup::detect_mode() == cgroup::Mode::v2; }

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  std::string out = text.str();
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

void sleep_ms(int ms) {
  const timespec t{ms / 1000, ms % 1000 * 1'000'000L};
  ::nanosleep(&t, nullptr);
}

int count_open_fds() {
  int count = 0;
  DIR* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir)) count++;
  ::closedir(dir);
  return count;
}

}  // namespace berth::test
