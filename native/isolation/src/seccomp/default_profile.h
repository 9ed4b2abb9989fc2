// The seccomp profile of containers that ask for none: Docker's (as of 28.5), held as a compact table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::seccomp {

/// The profile for a container with these capabilities ("CAP_CHOWN"; Docker takes the bounding set) on this kernel.
/// `native`: OCI's name of the architecture, empty for the one this runs on; EINVAL if that is unknown.
Result<oci::Seccomp> default_seccomp(const std::vector<std::string>& caps, std::string_view native = {});

/// The whole table with its conditions, as profiles/seccomp-default.json holds it for readers outside (a test keeps
/// the two equal). `always`: allowed everywhere; each of `groups`: `names` with `action` (default allow) if every condition
/// given holds: the argument (`arg`), a capability present or absent, the native architecture, the least kernel.
std::string default_profile_json();

}  // namespace berth::seccomp
