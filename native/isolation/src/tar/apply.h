// Unpacks one layer: source → inflate → hash → tar → directory, on two threads, so that a file is written while the next is inflated.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "tar/source.h"

namespace berth::tar {

struct ApplyOptions {
  std::string target;            // existing directory, nobody else's meanwhile
  bool whiteouts = true;         // ".wh." names become overlayfs's; false: plain files
  bool hash_compressed = false;  // also the digest of what came in
  uint64_t max_bytes = 0;        // of the uncompressed stream; EFBIG beyond; 0: no limit
  uint64_t max_entries = 10'000'000;
  bool faithful = false;         // WriteOptions::faithful
  bool sync = false;  // syncfs() before success
  bool defer_links = false;  // hard links to what only a layer below may have are listed in the result, for copy_up_links()
};

/// Path to target of hard links that wait for copy_up_links(), both clean.
using DeferredLinks = std::map<std::string, std::string>;

struct ApplyResult {
  std::string diff_id;            // digest of the uncompressed stream, all of it
  std::string compressed_digest;  // empty unless asked for
  uint64_t bytes_in = 0;          // compressed
  uint64_t bytes_out = 0;         // uncompressed stream
  uint64_t entries = 0;
  uint64_t file_bytes = 0;
  std::vector<std::string> implied;  // directories without a member of their own
  DeferredLinks links;
};

/// Blocks until done. Both threads are made here and are gone on return; `bytes_in` is updated meanwhile for whoever shows progress.
/// On failure the target holds whatever had been written: removing it is the caller's.
Result<ApplyResult> apply_layer(Source& source, const ApplyOptions& options, std::atomic<uint64_t>& bytes_in);

/// The same on one thread, without hashing: for an uncompressed tar in memory (tests, fuzzing).
Result<void> apply_bytes(std::span<const uint8_t> archive, const ApplyOptions& options);

/// Gives each of `paths` (as in ApplyResult::implied) in `target` the owner, mode, times and attributes of the topmost of `lower`
/// (top first) that has a directory there; whiteouts and opaque directories on the way end the search.
Result<void> inherit_directories(const std::string& target, const std::vector<std::string>& lower, const std::vector<std::string>& paths);

struct CopiedUp {
  std::vector<std::string> implied;  // directories made on the way to targets: for inherit_directories()
  uint64_t file_bytes = 0;
};

/// Makes the hard links that apply_layer() has deferred. Their targets are copied from the topmost of `lower` (top first) that has them
/// to the same place in `target`, as overlayfs would, so that link and target stay one file. Where a later member took a link's place
/// that one stays. EBADMSG when no layer has a target, EFBIG when the copies come to more than `max_bytes`.
Result<CopiedUp> copy_up_links(const std::string& target, const std::vector<std::string>& lower, const DeferredLinks& links,
                               uint64_t max_bytes);

}  // namespace berth::tar
