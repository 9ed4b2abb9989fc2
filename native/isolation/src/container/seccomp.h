// linux.seccomp through libseccomp.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

/// Loads the filter into the calling thread. Needs CAP_SYS_ADMIN or no_new_privs. Gives the notification descriptor if
/// an action is SCMP_ACT_NOTIFY, else an invalid one.
Result<UniqueFd> load_seccomp(const oci::Seccomp& config);

struct SeccompNames {
  std::vector<std::string> actions, operators, architectures, flags;
};
/// What is understood, for `features`.
SeccompNames seccomp_names();

}  // namespace berth::container
