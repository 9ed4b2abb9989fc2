// What a writable layer changed in those below it, path by path.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth::tar {

enum class ChangeKind : uint8_t { kModified = 0, kAdded = 1, kDeleted = 2 };  // the Engine API's numbers

struct Change {
  ChangeKind kind;
  std::string path;  // absolute
};

struct ChangesOptions {
  std::string upper;
  std::vector<std::string> lower;  // top first
  std::set<std::string> ignored;   // TreeOptions::ignored
  size_t max_changes = 1'000'000;  // E2BIG beyond
};

/// A directory comes before what is in it, names are sorted bytewise. The tree may be a running container's.
Result<std::vector<Change>> layer_changes(const ChangesOptions& options);

}  // namespace berth::tar
