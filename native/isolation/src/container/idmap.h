// Mounts that the parent must make ready, because the container's user namespace may not: id-mapped ones, and sources
// that only the host's root can reach.
#pragma once

#include "container/setup.h"

namespace berth::container {

/// Fills Setup::trees and Setup::rootfs_tree.
Result<void> prepare_trees(Setup& setup);

/// A user namespace with these maps that no process is in.
Result<UniqueFd> make_user_namespace(const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);

}  // namespace berth::container
