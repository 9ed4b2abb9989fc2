#include "tar/reader.h"

#include <linux/limits.h>

#include <algorithm>
#include <cstring>

namespace berth::tar {
namespace {

/// Of a long name, pax header or sparse map: what Go's and libarchive's readers allow as well.
constexpr uint64_t kMaxSpecial = 1u << 20;
constexpr size_t kMaxExtents = 65536;
/// Special headers before one member; more is an attack on time.
constexpr int kMaxSpecials = 64;

Error malformed(const std::string& object, const char* what) { return Error{EBADMSG, "tar", object, what}; }

uint64_t padding_of(uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

bool has_data(char typeflag) {
  switch (typeflag) {
    case '1': case '2': case '3': case '4': case '5': case '6':
      return false;  // whatever their size field says, nothing follows (as GNU tar and Go read it)
    default:
      return true;
  }
}

}  // namespace

/// True when at least one byte is at hand.
Result<bool> Reader::more() {
  if (!piece_.empty()) return true;
  BERTH_ASSIGN(piece_, input_.next());
  return !piece_.empty();
}

/// One block, in place when it lies in one piece. False at the end of the stream.
Result<bool> Reader::read_block(uint8_t (&storage)[kBlock], const uint8_t*& block) {
  BERTH_ASSIGN(const bool any, more());
  if (!any) return false;
  if (piece_.size() >= kBlock) {
    block = piece_.data();
    piece_ = piece_.subspan(kBlock);
    return true;
  }
  size_t have = 0;
  while (have < kBlock) {
    BERTH_ASSIGN(const bool some, more());
    if (!some) return malformed("", "the archive is cut short");
    const size_t count = std::min(kBlock - have, piece_.size());
    std::memcpy(storage + have, piece_.data(), count);
    piece_ = piece_.subspan(count);
    have += count;
  }
  block = storage;
  return true;
}

Result<void> Reader::skip(uint64_t count) {
  while (count > 0) {
    BERTH_ASSIGN(const bool some, more());
    if (!some) return malformed("", "the archive is cut short");
    const size_t step = std::min<uint64_t>(count, piece_.size());
    piece_ = piece_.subspan(step);
    count -= step;
  }
  return {};
}

Result<std::string> Reader::read_text(uint64_t size, const char* what) {
  if (size > kMaxSpecial) return malformed(what, "longer than 1 MiB");
  std::string text;
  text.reserve(size);
  while (text.size() < size) {
    BERTH_ASSIGN(const bool some, more());
    if (!some) return malformed(what, "the archive is cut short");
    const size_t count = std::min<uint64_t>(size - text.size(), piece_.size());
    text.append(reinterpret_cast<const char*>(piece_.data()), count);
    piece_ = piece_.subspan(count);
  }
  BERTH_TRY(skip(padding_of(size)));
  return text;
}

Result<void> Reader::drain() {
  for (;;) {
    piece_ = {};
    BERTH_ASSIGN(const bool some, more());
    if (!some) return {};
  }
}

Result<std::optional<Entry>> Reader::next() {
  BERTH_TRY(skip(left_ + padding_));
  left_ = padding_ = 0;
  Pax pax;
  std::optional<std::string> long_name, long_link;
  for (int specials = 0; specials <= kMaxSpecials; ++specials) {
    uint8_t storage[kBlock];
    const uint8_t* raw = nullptr;
    BERTH_ASSIGN(const bool some, read_block(storage, raw));
    if (!some) {
      if (specials > 0) return malformed("", "the archive is cut short");
      return std::optional<Entry>();
    }
    const Block block(raw, kBlock);
    if (is_zero(block)) {
      // Two blocks of zeros end the archive; one and then the end of the stream is accepted, as everywhere.
      BERTH_ASSIGN(const bool second, read_block(storage, raw));
      if (second && !is_zero(Block(raw, kBlock))) return malformed("", "a lone zero block inside the archive");
      return std::optional<Entry>();
    }
    BERTH_ASSIGN(RawHeader header, parse_header(block));
    const uint64_t size = header.entry.stored;
    switch (header.typeflag) {
      case 'x': case 'X': {
        BERTH_ASSIGN(const std::string text, read_text(size, "pax header"));
        BERTH_TRY(parse_pax(text, pax));
        continue;
      }
      case 'g': {  // defaults for all that follow: nobody puts anything but comments there (git does)
        BERTH_ASSIGN([[maybe_unused]] const std::string text, read_text(size, "pax global header"));
        continue;
      }
      case 'L': case 'K': {
        BERTH_ASSIGN(std::string text, read_text(size, "GNU long name"));
        text.resize(::strnlen(text.c_str(), text.size()));
        (header.typeflag == 'L' ? long_name : long_link) = std::move(text);
        continue;
      }
      case 'V':  // a volume's label
        BERTH_TRY(skip(size + padding_of(size)));
        continue;
      default:
        break;
    }
    if (long_name) header.entry.path = *long_name;
    if (long_link) header.entry.link = *long_link;
    // A copy: reading a sparse map moves on in the stream that `block` may point into.
    uint8_t copy[kBlock];
    std::memcpy(copy, raw, kBlock);
    BERTH_ASSIGN(Entry entry, finish(header, pax, Block(copy)));
    return std::optional<Entry>(std::move(entry));
  }
  return malformed("", "too many extended headers in a row");
}

Result<void> Reader::apply_pax(Entry& entry, const Pax& pax) {
  for (const auto& [key, value] : pax.records) {
    if (key == "path" && !value.empty()) entry.path = value;
    if (key == "linkpath" && !value.empty()) entry.link = value;
    if (key.starts_with("SCHILY.xattr.")) entry.xattrs.emplace_back(key.substr(13), value);
  }
  if (const auto* text = pax.find("size")) {
    const auto size = parse_decimal(*text);
    if (!size) return malformed(entry.path, "pax size is not a number");
    entry.size = entry.stored = *size;
  }
  for (const char* key : {"uid", "gid"}) {
    const auto* text = pax.find(key);
    if (text == nullptr) continue;
    const auto id = parse_decimal(*text);
    if (!id || *id > UINT32_MAX) return malformed(entry.path, "pax owner is out of range");
    (key[0] == 'u' ? entry.uid : entry.gid) = static_cast<uid_t>(*id);
  }
  if (const auto* text = pax.find("mtime")) {
    const auto time = parse_pax_time(*text);
    if (!time) return malformed(entry.path, "pax time is broken");
    entry.mtime = *time;
  }
  return {};
}

Result<Entry> Reader::finish(RawHeader& header, const Pax& pax, Block block) {
  Entry entry = std::move(header.entry);
  BERTH_TRY(apply_pax(entry, pax));
  switch (header.typeflag) {
    case '0': case '\0': case '7': case 'S':
      // v7 archives mark a directory by its trailing slash.
      entry.type = header.typeflag == '\0' && entry.path.ends_with('/') ? Type::kDirectory : Type::kFile;
      break;
    case '1': entry.type = Type::kHardLink; break;
    case '2': entry.type = Type::kSymlink; break;
    case '3': entry.type = Type::kCharDevice; break;
    case '4': entry.type = Type::kBlockDevice; break;
    case '5': entry.type = Type::kDirectory; break;
    case '6': entry.type = Type::kFifo; break;
    default:
      return Error{EBADMSG, "tar", entry.path, "unhandled tar header type " + std::to_string(static_cast<unsigned char>(header.typeflag))};
  }
  if (!has_data(header.typeflag)) entry.size = entry.stored = 0;
  if (entry.path.size() >= PATH_MAX || entry.link.size() >= PATH_MAX) return malformed(entry.path.substr(0, 64), "name is longer than 4095 bytes");
  if (entry.stored > INT64_MAX - kBlock) return malformed(entry.path, "size is out of range");

  left_ = entry.stored;
  padding_ = padding_of(entry.stored);
  position_ = 0;
  extent_ = 0;
  header.entry = std::move(entry);
  BERTH_TRY(read_sparse(header, pax, block));
  entry = std::move(header.entry);
  sparse_ = entry.sparse;
  extents_ = entry.extents;
  return entry;
}

Result<void> Reader::read_sparse(RawHeader& header, const Pax& pax, Block block) {
  Entry& entry = header.entry;
  if (header.typeflag == 'S') {
    entry.sparse = true;
    const auto real = parse_number(block.subspan(483, 12));
    bool ok = real && *real >= 0 && parse_gnu_sparse(block.subspan(386, 96), entry.extents);
    for (bool extended = block[482] != 0; ok && extended;) {
      uint8_t storage[kBlock];
      const uint8_t* raw = nullptr;
      BERTH_ASSIGN(const bool some, read_block(storage, raw));
      if (!some) return malformed(entry.path, "the archive is cut short");
      ok = parse_gnu_sparse({raw, 504}, entry.extents) && entry.extents.size() <= kMaxExtents;
      extended = raw[504] != 0;
    }
    if (!ok) return malformed(entry.path, "the sparse map is broken");
    entry.size = static_cast<uint64_t>(*real);
    return check_extents(entry);
  }
  const auto* major = pax.find("GNU.sparse.major");
  const auto* map = pax.find("GNU.sparse.map");
  const auto* old_count = pax.find("GNU.sparse.numblocks");
  if (entry.type != Type::kFile || (major == nullptr && map == nullptr && old_count == nullptr)) return {};
  entry.sparse = true;
  if (const auto* name = pax.find("GNU.sparse.name")) entry.path = *name;
  if (entry.path.size() >= PATH_MAX) return malformed("GNU.sparse.name", "name is longer than 4095 bytes");
  const auto* size_text = pax.find("GNU.sparse.realsize");
  if (size_text == nullptr) size_text = pax.find("GNU.sparse.size");
  const auto size = size_text == nullptr ? std::nullopt : parse_decimal(*size_text);
  if (!size) return malformed(entry.path, "the sparse file has no size");
  entry.size = *size;
  if (major != nullptr && *major == "1") {
    BERTH_TRY(read_sparse_1_0(entry));
    return check_extents(entry);
  }
  std::vector<uint64_t> numbers = pax.sparse_pairs;
  if (map != nullptr) {
    numbers.clear();
    for (std::string_view rest = *map; !rest.empty();) {
      const size_t comma = rest.find(',');
      const auto number = parse_decimal(rest.substr(0, comma));
      if (!number) return malformed(entry.path, "the sparse map is broken");
      numbers.push_back(*number);
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  if (numbers.size() % 2 != 0 || numbers.size() / 2 > kMaxExtents) return malformed(entry.path, "the sparse map is broken");
  for (size_t i = 0; i < numbers.size(); i += 2) entry.extents.push_back({numbers[i], numbers[i + 1]});
  return check_extents(entry);
}

/// The map is at the front of the data: decimal numbers, one a line, the count first, filled up to whole blocks.
Result<void> Reader::read_sparse_1_0(Entry& entry) {
  std::vector<uint64_t> numbers;
  std::string line;
  uint64_t used = 0;
  size_t wanted = 1;
  while (numbers.size() < wanted) {
    if (used >= entry.stored || used > kMaxSpecial) return malformed(entry.path, "the sparse map is broken");
    BERTH_ASSIGN(const bool some, more());
    if (!some) return malformed(entry.path, "the archive is cut short");
    const char c = static_cast<char>(piece_[0]);
    piece_ = piece_.subspan(1);
    ++used;
    if (c != '\n') {
      line += c;
      if (line.size() > 20) return malformed(entry.path, "the sparse map is broken");
      continue;
    }
    const auto number = parse_decimal(line);
    if (!number) return malformed(entry.path, "the sparse map is broken");
    line.clear();
    if (numbers.empty()) {
      if (*number > kMaxExtents) return malformed(entry.path, "the sparse map is too long");
      wanted = 1 + 2 * static_cast<size_t>(*number);
    }
    numbers.push_back(*number);
  }
  const uint64_t fill = padding_of(used);
  if (used + fill > entry.stored) return malformed(entry.path, "the sparse map is broken");
  BERTH_TRY(skip(fill));
  left_ = entry.stored = entry.stored - used - fill;
  for (size_t i = 1; i < numbers.size(); i += 2) entry.extents.push_back({numbers[i], numbers[i + 1]});
  return {};
}

/// In order, within the file, and together exactly what is stored.
Result<void> Reader::check_extents(const Entry& entry) {
  uint64_t end = 0, total = 0;
  if (entry.size > INT64_MAX) return malformed(entry.path, "size is out of range");
  for (const Extent& extent : entry.extents) {
    if (extent.offset < end || extent.offset > entry.size || extent.length > entry.size - extent.offset) {
      return malformed(entry.path, "the sparse map is broken");
    }
    end = extent.offset + extent.length;
    total += extent.length;
  }
  if (total != entry.stored) return malformed(entry.path, "the sparse map does not fit the data");
  return {};
}

Result<Piece> Reader::data() {
  if (left_ == 0) return Piece{position_, {}};
  BERTH_ASSIGN(const bool some, more());
  if (!some) return malformed("", "the archive is cut short");
  uint64_t limit = left_;
  uint64_t offset = position_;
  if (sparse_) {
    while (position_ == extents_[extent_].length) {  // also passes empty stretches
      ++extent_;
      position_ = 0;
    }
    limit = extents_[extent_].length - position_;
    offset = extents_[extent_].offset + position_;
  }
  const size_t count = std::min<uint64_t>(limit, piece_.size());
  const Piece piece{offset, piece_.first(count)};
  piece_ = piece_.subspan(count);
  left_ -= count;
  position_ += count;
  return piece;
}

}  // namespace berth::tar
