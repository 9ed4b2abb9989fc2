// The names in a directory, in bytewise order.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace berth::tar {

/// Names in one directory; more is E2BIG, since all of them are in memory while it is walked.
inline constexpr size_t kMaxNames = 2'000'000;

/// Without "." and "..". `path` is for errors.
Result<std::vector<std::string>> sorted_names(int directory, const std::string& path);

}  // namespace berth::tar
