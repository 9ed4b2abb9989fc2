// Which control group hierarchies this host mounts, and where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroup/cgroup.h"

namespace berth::cgroup {

/// One mounted hierarchy. v1: `controllers` are its own ("cpu", "cpuacct"), or "name=systemd" for a named one without
/// any. v2: empty, as what is available is said group by group in cgroup.controllers.
struct Hierarchy {
  std::string mount_point;
  std::vector<std::string> controllers;
  bool unified = false;
};

struct Layout {
  Mode mode = Mode::none;
  std::vector<Hierarchy> hierarchies;  // v1 ones in mount order, then the unified one if there is any
};

/// Reads the text of a mountinfo file (proc(5)). A hierarchy that is mounted more than once is taken at its first place
/// below /sys/fs/cgroup, else at its first place.
Layout parse_layout(std::string_view mountinfo);

/// The host's layout, from /proc/self/mountinfo.
Result<Layout> detect_layout();

}  // namespace berth::cgroup
