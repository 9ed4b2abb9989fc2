// The 512-byte header block: POSIX.1-1988 ustar, with the GNU and star variants in use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tar/entry.h"

namespace berth::tar {

constexpr size_t kBlock = 512;
using Block = std::span<const uint8_t, kBlock>;

/// Octal text, or GNU base-256 when the first byte's top bit is set. Nothing when it is neither or does not fit.
std::optional<int64_t> parse_number(std::span<const uint8_t> field);

bool is_zero(Block block);
/// Header checksum, summed as unsigned and (historic) as signed bytes.
bool checksum_ok(Block block);

struct RawHeader {
  char typeflag = '0';
  bool gnu = false;
  Entry entry;  // type is not set here; size = stored = the header's size field
};
Result<RawHeader> parse_header(Block block);

/// Four (offset, length) pairs of an old GNU sparse header or the 21 of its continuation; false: a broken number.
bool parse_gnu_sparse(std::span<const uint8_t> fields, std::vector<Extent>& extents);

/// What pax extended headers say; the later record of a name wins, an empty value deletes it.
struct Pax {
  std::map<std::string, std::string, std::less<>> records;
  /// GNU.sparse 0.0 repeats its keys, so the order is kept here: offset, length, offset, …
  std::vector<uint64_t> sparse_pairs;
  [[nodiscard]] const std::string* find(std::string_view key) const {
    const auto it = records.find(key);
    return it == records.end() || it->second.empty() ? nullptr : &it->second;
  }
};
Result<void> parse_pax(std::string_view text, Pax& pax);
std::optional<uint64_t> parse_decimal(std::string_view text);
/// "seconds[.fraction]", may be negative; cut to ns.
std::optional<struct timespec> parse_pax_time(std::string_view text);

}  // namespace berth::tar
