// Which namespaces a container makes and which it joins, and the process that starts inside them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/sync.h"
#include "oci/spec.h"

namespace berth::container {

struct NamespacePlan {
  struct Join {
    int type = 0;  // CLONE_NEW*
    UniqueFd fd;
    std::string path;
  };
  uint64_t new_flags = 0;   // for clone3, but for cgroup and time
  bool new_cgroup = false;  // unshared by the process itself once it is in its cgroup: the namespace's root is taken then
  bool new_time = false;    // offsets must be written before the first process is inside
  bool new_user = false;
  bool has_user = false;  // new or joined
  UniqueFd user;          // to join
  std::vector<Join> joins;

  [[nodiscard]] bool joins_type(int type) const;
  /// The clone flag is new or joined: the host's is not touched.
  [[nodiscard]] bool own(int type) const;
  /// True if an intermediate process is needed: what is joined must be joined before what is made.
  [[nodiscard]] bool staged() const;
};

/// CLONE_NEW* of a namespace type.
int clone_flag(oci::NamespaceType type);

/// Reads linux.namespaces and opens the paths to join.
Result<NamespacePlan> plan_namespaces(const oci::Spec& spec);

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;
};

/// Makes the process. `body` runs in it, inside all namespaces (but the cgroup one) as the namespace's root, and must
/// not return. `cgroup_fd` >= 0 is entered at birth. `parent` and `child` are the two ends of one Sync.
Result<Spawned> spawn(const oci::Spec& spec, const NamespacePlan& plan, int cgroup_fd, Sync& parent, Sync& child,
                      const std::function<void()>& body);

/// The lines of /proc/PID/uid_map. Without mappings the whole host, one to one: root stays root, but the capabilities are
/// the new namespace's only.
std::string map_text(const std::vector<oci::IdMapping>& mappings);

/// Becomes uid and gid 0 of the user namespace just entered, where it maps them.
void become_namespace_root();

}  // namespace berth::container
