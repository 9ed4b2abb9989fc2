// linux.seccomp of a container's process (the compiler is seccomp/filter.h).
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "container/launch.h"
#include "oci/spec.h"

namespace berth::container {

/// `notify`: somebody listens for the filter's questions; EINVAL where nobody does and the profile has some.
Result<SeccompFilter> compile_seccomp(const oci::Seccomp& config, bool notify);
/// Loads the filter into the calling thread. Needs CAP_SYS_ADMIN or no_new_privs. The descriptor is the listener of one
/// compiled with `notify`, else invalid.
Result<UniqueFd> load_seccomp(const seccomp::Program& filter);

struct SeccompNames {
  std::vector<std::string> actions, operators, architectures, flags;
};
/// What is understood, for `features`.
SeccompNames seccomp_names();

}  // namespace berth::container
