// What the command line keeps of a container between its calls: ROOT/ID/{state.json,config.json,start.sock}.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::lifecycle {

enum class Status { creating, created, running, paused, stopped };
const char* status_name(Status status);

struct State {
  std::string id;
  std::string bundle;
  std::string rootfs;
  std::string cgroup_path;
  std::string created;       // RFC 3339
  std::string owner;
  pid_t pid = 0;
  uint64_t start_time = 0;   // clock ticks since boot: with the pid, names one process for ever
  bool systemd_cgroup = false;
};

/// Letters, digits and "_+-.", starting with a letter, digit or "_", at most 1024 bytes.
Result<void> check_id(const std::string& id);

class Store {
 public:
  explicit Store(std::string root) : root_(std::move(root)) {}

  /// Makes the container's directory; EEXIST if the id is taken. Keeps a copy of the configuration's text.
  Result<void> reserve(const std::string& id, const std::string& config);
  Result<void> save(const State& state);
  /// ENOENT for an unknown id.
  Result<State> load(const std::string& id) const;
  Result<oci::Spec> spec(const std::string& id) const;
  Result<std::vector<State>> list() const;
  /// Removes the directory.
  Result<void> forget(const std::string& id);
  [[nodiscard]] bool exists(const std::string& id) const;

  [[nodiscard]] std::string directory(const std::string& id) const { return root_ + "/" + id; }
  [[nodiscard]] std::string start_socket(const std::string& id) const { return directory(id) + "/start.sock"; }

 private:
  std::string root_;
};

/// Looks at the process and the freezer.
Status status_of(const Store& store, const State& state);
/// The start time of a live process; 0 if there is none, or only a zombie.
uint64_t process_start_time(pid_t pid);
/// The runtime-spec's state object, with `created`, `rootfs` and `owner` as runc and crun add them.
std::string state_text(const Store& store, const State& state, bool pretty);

}  // namespace berth::lifecycle
