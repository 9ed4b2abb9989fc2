// Who the process runs as: Docker's "name|uid[:group|gid]" looked up in the container's own /etc/passwd and /etc/group.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::container {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
  std::string home;           // of the passwd entry; "/" if there is none
};

/// Names or numbers, as a user of the engine gives them.
struct Wanted {
  std::string user;                 // "name|uid[:group|gid]"
  std::vector<std::string> groups;  // "name|gid"
};

/// Looks `wanted` up below the directory `root` (O_PATH), or takes `process_user` as it is when its user is empty.
/// `extra_groups` of process_user are always added. Files that are too long, or no regular files, count as missing.
Result<Identity> resolve_identity(int root, const Wanted& wanted, const oci::User& process_user);

/// The same on texts, for tests and fuzzers.
Result<Identity> resolve_identity_in(const std::string& passwd, const std::string& group, const Wanted& wanted,
                                     const oci::User& process_user);

}  // namespace berth::container
