// An overlay's upper directory as an OCI layer, and what a directory takes up on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace berth::tar {

struct DiffOptions {
  std::string upper;
  bool whiteouts = true;   // overlayfs whiteouts and opaque marks become ".wh." members; false: as the files they are
  bool gzip = false;       // fastest level
  bool live = false;       // a container may be writing meanwhile: what goes away is left out
  bool faithful = false;   // TreeOptions::faithful
  /// Layers below, top first: directories that are as there and in which nothing changed are left out.
  std::vector<std::string> lower;
  std::set<std::string> ignored;  // TreeOptions::ignored
};

struct DiffResult {
  std::string diff_id;  // of the uncompressed tar
  std::string digest;   // of what was given out
  uint64_t size = 0;    // bytes given out
  uint64_t tar_size = 0;
};

/// Gives out the stream in pieces of up to 256 KiB; a `give` that fails ends it with that error. The same tree gives the same bytes:
/// names are sorted bytewise within each directory, a directory comes before what is in it. Sockets are left out.
Result<DiffResult> diff_layer(const DiffOptions& options, const std::function<Result<void>(std::span<const uint8_t>)>& give);

struct Usage {
  uint64_t bytes = 0;   // allocated blocks; a file with several names counts once
  uint64_t inodes = 0;  // the directory itself included
  uint64_t file_bytes = 0;  // sizes of what is no directory, holes included; a file with several names counts once
};
Result<Usage> disk_usage(const std::string& path);

}  // namespace berth::tar
