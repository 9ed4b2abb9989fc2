#include "tar/header.h"

#include <algorithm>
#include <cstring>

namespace berth::tar {
namespace {

// Offsets in the header block (POSIX ustar).
constexpr size_t kName = 0, kMode = 100, kUid = 108, kGid = 116, kSize = 124, kMtime = 136, kChecksum = 148, kType = 156, kLink = 157,
                 kMagic = 257, kMajor = 329, kMinor = 337, kPrefix = 345;

Error malformed(const std::string& object, const char* what) { return Error{EBADMSG, "tar", object, what}; }

/// Up to the first NUL or the field's end.
std::string text_field(Block block, size_t offset, size_t size) {
  const char* start = reinterpret_cast<const char*>(block.data()) + offset;
  return std::string(start, ::strnlen(start, size));
}

}  // namespace

std::optional<int64_t> parse_number(std::span<const uint8_t> field) {
  if (!field.empty() && (field[0] & 0x80) != 0) {
    const bool negative = (field[0] & 0x40) != 0;
    const uint8_t flip = negative ? 0xff : 0;
    uint64_t value = 0;
    for (size_t i = 0; i < field.size(); ++i) {
      uint8_t byte = field[i] ^ flip;
      if (i == 0) byte &= 0x7f;
      if ((value >> 56) != 0) return std::nullopt;
      value = (value << 8) | byte;
    }
    if ((value >> 63) != 0) return std::nullopt;
    return negative ? ~static_cast<int64_t>(value) : static_cast<int64_t>(value);
  }
  size_t i = 0;
  while (i < field.size() && (field[i] == ' ' || field[i] == 0)) ++i;
  uint64_t value = 0;
  for (; i < field.size() && field[i] != ' ' && field[i] != 0; ++i) {
    if (field[i] < '0' || field[i] > '7' || (value >> 60) != 0) return std::nullopt;
    value = value * 8 + (field[i] - '0');
  }
  for (; i < field.size(); ++i) {
    if (field[i] != ' ' && field[i] != 0) return std::nullopt;
  }
  return static_cast<int64_t>(value);
}

bool is_zero(Block block) {
  return block[0] == 0 && std::memcmp(block.data(), block.data() + 1, kBlock - 1) == 0;
}

bool checksum_ok(Block block) {
  const auto stored = parse_number(block.subspan(kChecksum, 8));
  if (!stored) return false;
  int64_t as_unsigned = 0, as_signed = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const uint8_t byte = i >= kChecksum && i < kChecksum + 8 ? ' ' : block[i];
    as_unsigned += byte;
    as_signed += static_cast<int8_t>(byte);
  }
  return *stored == as_unsigned || *stored == as_signed;
}

Result<RawHeader> parse_header(Block block) {
  RawHeader header;
  Entry& entry = header.entry;
  entry.path = text_field(block, kName, 100);
  if (!checksum_ok(block)) return malformed(entry.path, "header checksum is wrong");
  header.typeflag = static_cast<char>(block[kType]);
  entry.link = text_field(block, kLink, 100);
  const auto mode = parse_number(block.subspan(kMode, 8));
  const auto uid = parse_number(block.subspan(kUid, 8));
  const auto gid = parse_number(block.subspan(kGid, 8));
  const auto size = parse_number(block.subspan(kSize, 12));
  const auto mtime = parse_number(block.subspan(kMtime, 12));
  if (!mode || !uid || !gid || !size || !mtime) return malformed(entry.path, "header has a broken number");
  if (*size < 0) return malformed(entry.path, "negative size");
  entry.mode = static_cast<mode_t>(*mode & 07777);
  entry.uid = static_cast<uid_t>(*uid);
  entry.gid = static_cast<gid_t>(*gid);
  entry.size = entry.stored = static_cast<uint64_t>(*size);
  entry.mtime.tv_sec = *mtime;

  const char* magic = reinterpret_cast<const char*>(block.data()) + kMagic;
  header.gnu = std::memcmp(magic, "ustar  ", 8) == 0;
  const bool ustar = std::memcmp(magic, "ustar", 6) == 0;
  if (header.gnu || ustar) {
    // Only devices have these; other writers leave anything there.
    const auto major = parse_number(block.subspan(kMajor, 8));
    const auto minor = parse_number(block.subspan(kMinor, 8));
    if (header.typeflag == '3' || header.typeflag == '4') {
      if (!major || !minor || *major < 0 || *minor < 0 || *major > 0xfffff || *minor > 0xfffff) {
        return malformed(entry.path, "device number is out of range");
      }
      entry.dev_major = static_cast<uint32_t>(*major);
      entry.dev_minor = static_cast<uint32_t>(*minor);
    }
  }
  if (ustar) {
    // star puts times behind a shorter prefix and marks the block's end with "tar".
    const bool star = std::memcmp(block.data() + 508, "tar", 4) == 0;
    const std::string prefix = text_field(block, kPrefix, star ? 131 : 155);
    if (!prefix.empty()) entry.path = prefix + "/" + entry.path;
  }
  return header;
}

bool parse_gnu_sparse(std::span<const uint8_t> fields, std::vector<Extent>& extents) {
  for (size_t at = 0; at + 24 <= fields.size(); at += 24) {
    if (fields[at] == 0) return true;  // an unused pair ends the list
    const auto offset = parse_number(fields.subspan(at, 12));
    const auto length = parse_number(fields.subspan(at + 12, 12));
    if (!offset || !length || *offset < 0 || *length < 0) return false;
    extents.push_back({static_cast<uint64_t>(*offset), static_cast<uint64_t>(*length)});
  }
  return true;
}

std::optional<uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || text.size() > 19) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if ((value >> 63) != 0) return std::nullopt;
  return value;
}

std::optional<struct timespec> parse_pax_time(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t dot = text.find('.');
  const auto seconds = parse_decimal(text.substr(0, dot));
  if (!seconds) return std::nullopt;
  int64_t nanos = 0;
  if (dot != std::string_view::npos) {
    int64_t unit = 100'000'000;
    for (const char c : text.substr(dot + 1)) {
      if (c < '0' || c > '9') return std::nullopt;
      nanos += (c - '0') * unit;
      unit /= 10;
    }
  }
  struct timespec time {};
  time.tv_sec = static_cast<time_t>(*seconds);
  time.tv_nsec = nanos;
  if (negative) {
    time.tv_sec = -time.tv_sec;
    if (nanos > 0) {
      time.tv_sec -= 1;
      time.tv_nsec = 1'000'000'000 - nanos;
    }
  }
  return time;
}

Result<void> parse_pax(std::string_view text, Pax& pax) {
  while (!text.empty()) {
    // GNU tar fills up with NULs.
    if (text[0] == 0) return {};
    const size_t space = text.find(' ');
    const auto length = space == std::string_view::npos ? std::nullopt : parse_decimal(text.substr(0, space));
    if (!length || *length > text.size() || *length < space + 3 || text[*length - 1] != '\n') {
      return malformed("pax header", "a record's length is wrong");
    }
    const std::string_view record = text.substr(space + 1, *length - space - 2);
    text.remove_prefix(*length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos || equals == 0) return malformed("pax header", "a record has no key");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    // A NUL in a name would name another file to the kernel than was checked here.
    if (!key.starts_with("SCHILY.xattr.") && record.find('\0') != std::string_view::npos) {
      return malformed("pax header", "a record contains a NUL character");
    }
    if (key.find('\0') != std::string_view::npos) return malformed("pax header", "a key contains a NUL character");
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
      const auto number = parse_decimal(value);
      const bool is_offset = key == "GNU.sparse.offset";
      if (!number || (pax.sparse_pairs.size() % 2 == 0) != is_offset) return malformed("pax header", "the sparse map is broken");
      pax.sparse_pairs.push_back(*number);
      continue;
    }
    pax.records.insert_or_assign(std::string(key), std::string(value));
  }
  return {};
}

}  // namespace berth::tar
