// What another runtime is given: the bundle of the monitor as plain OCI. What config.json has no word for (the overlay of the root
// file system, images that are mounted aside, subpaths of volumes, users by name, the built-in seccomp profile) is made or looked
// up here, in the process that then becomes the runtime and in a mount namespace of that process alone: the container's own
// mount namespace comes of it, and nothing of it is ever seen on the host or left there.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "container/launch.h"
#include "oci/spec.h"

namespace berth::external {

/// Mounts what `options` names in the calling process' mount namespace, which must be its own, and writes DIRECTORY/config.json. `spec` is config.json of
/// options.bundle, its seccomp profile already filled in; the rest of the document is taken over as it stands.
Result<void> write_bundle(const oci::Spec& spec, const container::LaunchOptions& options, const std::string& directory);

/// Writes `file`: the process object of an exec request of the monitor, with its user looked up in the root file system of
/// options.container_pid.
Result<void> write_process(std::string_view request, const oci::Process& process, const container::ExecOptions& options,
                           const std::string& file);

}  // namespace berth::external
