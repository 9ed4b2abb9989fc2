// Capability sets by the system calls themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

/// Bit sets, bit n is capability n.
struct CapabilitySets {
  uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};

/// Names to sets, cut down to what this host and we ourselves have: capabilities that the kernel does not know, and
/// those we were not given, can't be granted and are left out (as runc does, with a warning to nobody).
Result<CapabilitySets> resolve_capabilities(const std::optional<oci::Capabilities>& wanted);
/// All we have ourselves, for privileged execs.
Result<CapabilitySets> all_capabilities();

/// Before the uid changes: drops from the bounding set and keeps the rest over setuid.
Result<void> drop_bounding(const CapabilitySets& sets);
/// After the uid has changed.
Result<void> set_capabilities(const CapabilitySets& sets);

/// "CAP_CHOWN", ...; what this program knows.
std::vector<std::string> capability_names();

}  // namespace berth::container
