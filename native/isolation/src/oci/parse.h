// config.json (and parts of it) to plain data. Bad input gives EINVAL naming the field ("linux.namespaces[2].type") and
// what was expected; unknown fields are ignored, as the runtime-spec demands. Never throws; everything is bounded.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/spec.h"

namespace berth::oci {

/// Largest document taken, in bytes, and deepest nesting.
inline constexpr size_t kMaxDocumentBytes = 8u << 20;
inline constexpr unsigned kMaxDepth = 32;
/// Most elements in any one list or map, and longest string in bytes.
inline constexpr size_t kMaxElements = 16384;
inline constexpr size_t kMaxString = 1u << 20;

/// A whole config.json.
Result<Spec> parse_spec(std::string_view json);
/// Reads and parses BUNDLE/config.json.
Result<Spec> load_spec(const std::string& bundle);
/// An OCI process object, as `exec --process` and the monitor's exec request carry it.
Result<Process> parse_process(std::string_view json);
/// A linux.resources object, as `update` carries it.
Result<Resources> parse_resources(std::string_view json);

}  // namespace berth::oci
