// OCI hooks: programs of the operator's, with the container's state on stdin.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

/// The state object of the runtime-spec as JSON. `pid` 0 leaves it out.
std::string state_json(const oci::Spec& spec, const std::string& id, const std::string& bundle, const char* status,
                       pid_t pid);

/// Runs them one after the other; the first that fails (exit code, signal, time-out) ends the row. `kind` is for the
/// error. `directory` is their working directory.
Result<void> run_hooks(const std::vector<oci::Hook>& hooks, const std::string& state, const char* kind,
                       const std::string& directory);

}  // namespace berth::container
