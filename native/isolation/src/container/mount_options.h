// The words of fstab and of the OCI runtime-spec ("ro", "rbind", "rprivate", "rnosuid", "tmpcopyup") as flags.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth::container {

struct MountOptions {
  unsigned long flags = 0;                 // MS_*, with MS_BIND and MS_REC if the words ask for a bind
  unsigned long cleared = 0;               // MS_* flags that were explicitly turned off ("dev", "rw")
  std::vector<unsigned long> propagation;  // MS_PRIVATE | MS_REC ...
  uint64_t recursive_set = 0;              // MOUNT_ATTR_* for the whole tree
  uint64_t recursive_clear = 0;
  std::string data;                        // what the file system itself reads, comma-separated
  bool copy_up = false;                    // tmpcopyup
  bool idmap = false;                      // shift ids as the container's user namespace does
  bool recursive_idmap = false;
  bool copy_symlink = false;               // a link as source is remade, not followed
  bool source_nofollow = false;
  std::string source_subpath;              // of a bind: what to take of the source, looked up without leaving it
  bool destination_nofollow = false;       // mount on a link itself, not on what it points to

  [[nodiscard]] bool bind() const;
};

MountOptions parse_mount_options(const std::vector<std::string>& words);

/// rootfsPropagation's word as MS_* flags; 0 for an empty one, EINVAL for an unknown one.
Result<unsigned long> propagation_flags(const std::string& word);

/// All words that have a meaning of their own, for `features`.
std::vector<std::string> known_mount_options();

}  // namespace berth::container
