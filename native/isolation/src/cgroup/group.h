// One container's groups in all hierarchies of the host: the implementation behind cgroup.h.
#pragma once

#include <string>
#include <vector>

#include "cgroup/cgroup.h"
#include "cgroup/detect.h"
#include "cgroup/files.h"

namespace berth::cgroup {

struct Write;

/// The group in one hierarchy.
struct Member {
  Directory dir;
  std::string mount_point;
  std::vector<std::string> controllers;
};

class HostCgroup final : public Cgroup {
 public:
  HostCgroup(Mode mode, std::string path) : mode_(mode), path_(std::move(path)) {}

  /// Makes or joins the group in every hierarchy; on failure what was made is taken away again.
  Result<void> make(const Layout& layout);
  /// Opens what exists; ENOENT if that is nothing.
  Result<void> find(const Layout& layout);
  /// As find(), but each hierarchy's group `below` that of our path where it has one. ENOENT if none has.
  Result<void> find_below(const Layout& layout, const std::string& below);

  Result<void> apply(const oci::Resources& resources) override;
  Result<void> add(pid_t pid) override;
  Result<Entry> entry() override;
  Result<void> freeze() override;
  Result<void> thaw() override;
  Result<bool> frozen() override;
  Result<std::vector<pid_t>> processes() override;
  Result<void> kill_all() override;
  Result<void> remove() override;
  Result<Stats> stats() override;
  Result<UniqueFd> oom_fd() override;
  uint64_t oom_kills() override;
  bool waits_for_memory() override;
  std::vector<std::pair<std::string, std::string>> paths() const override;

  /// The v1 group of a controller; null if the host has it not as v1.
  const Directory* v1(std::string_view controller) const;
  /// The unified group, null if there is none.
  const Directory* unified() const { return unified_.dir.valid() ? &unified_.dir : nullptr; }
  /// Sees to it that the unified group has a controller (cgroup.subtree_control down the path). ENOTSUP if the kernel
  /// does not offer it, EBUSY if a parent that is not ours holds processes; never moves a process.
  Result<void> need_unified(std::string_view controller);

 private:
  /// The hierarchy whose process list stands for the container: unified, else any v1 one.
  const Member* representative() const;
  Result<void> set_frozen(bool frozen);
  Result<void> collect_rest(const oci::Resources& resources, std::vector<Write>& writes);
  Result<void> apply_devices(const oci::Resources& resources);
  Result<void> kill_round();

  Mode mode_;
  std::string path_;
  /// Made by this process and its device rules not yet set: an apply() without any denies by default.
  bool fresh_ = false;
  std::vector<Member> v1_;
  Member unified_;
};

}  // namespace berth::cgroup
