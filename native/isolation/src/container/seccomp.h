// linux.seccomp of a container's process (the compiler is seccomp/filter.h).
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

/// Loads the filter into the calling thread. Needs CAP_SYS_ADMIN or no_new_privs. The descriptor is the
/// listener of a profile that notifies (EINVAL without `notify`), else invalid.
Result<UniqueFd> load_seccomp(const oci::Seccomp& config, bool notify = false);

struct SeccompNames {
  std::vector<std::string> actions, operators, architectures, flags;
};
/// What is understood, for `features`.
SeccompNames seccomp_names();

}  // namespace berth::container
