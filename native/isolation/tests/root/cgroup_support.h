// What the tests of control groups share: groups that are always given back, and processes inside them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "cgroup/cgroup.h"
#include "oci/spec.h"

namespace berth::test {

/// "/berth-test-PID/NAME": nobody else's, and the parent is given back at the end of the run.
std::string group_path(const std::string& name);

/// A group made for one test; killed and removed at its end.
class TestGroup {
 public:
  explicit TestGroup(const std::string& name);
  ~TestGroup();
  cgroup::Cgroup* operator->() { return group_.get(); }
  cgroup::Cgroup& operator*() { return *group_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Its directory in the hierarchy that has the controller.
  [[nodiscard]] std::string directory(const std::string& controller) const;
  /// A file of it, without white space at the end; "" if it cannot be read.
  [[nodiscard]] std::string read(const std::string& controller, const std::string& file) const;

 private:
  std::string path_;
  std::unique_ptr<cgroup::Cgroup> group_;
};

/// A process that entered the group by Entry before `body` ran; its exit code is what `body` gives.
class Inside {
 public:
  Inside(cgroup::Cgroup& group, const std::function<int()>& body);
  ~Inside();
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// waitpid's status; -1 if it did not end within `ms`.
  int wait(int ms = 20'000);

 private:
  pid_t pid_ = -1;
};

bool is_v2();
/// Whether the file reads "key value".
std::string slurp(const std::string& path);
void sleep_ms(int ms);
int count_open_fds();

}  // namespace berth::test
