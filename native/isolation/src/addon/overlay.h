// Mounting overlayfs from the host side (the runtime mounts a container's own root inside its namespaces instead).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth::addon {

struct OverlayMount {
  std::string target;
  std::vector<std::string> lower;  // top first
  std::string upper, work;         // both empty: read-only view
  std::string base;                // relative directories are taken from here; may be empty
  std::vector<std::string> options;  // "key=value" or "flag", passed to the file system
  bool read_only = false;
  bool private_propagation = true;
};

/// Mounts by fsopen/fsconfig with one lowerdir+ a layer (Linux 6.8), which has no limit on the length of the list; falls back to
/// mount(2) on a thread whose working directory is `base`, so that the page that mount(2) copies holds short names.
Result<void> mount_overlay(const OverlayMount& mount);

}  // namespace berth::addon
