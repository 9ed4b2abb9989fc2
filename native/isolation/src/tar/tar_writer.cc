#include "tar/tar_writer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tar/header.h"

namespace berth::tar {
namespace {

constexpr uint8_t kZeros[kBlock] = {};
/// ustar's numbers: 7 octal digits for ids and devices, 11 for sizes and times.
constexpr uint64_t kMaxId = 07777777, kMaxSize = 077777777777;

void put_text(uint8_t* block, size_t offset, size_t size, std::string_view text) {
  std::memcpy(block + offset, text.data(), std::min(size, text.size()));
}

void put_octal(uint8_t* block, size_t offset, size_t size, uint64_t value) {
  for (size_t i = size - 1; i-- > 0;) {
    block[offset + i] = static_cast<uint8_t>('0' + (value & 7));
    value >>= 3;
  }
}

char typeflag_of(Type type) {
  switch (type) {
    case Type::kFile: return '0';
    case Type::kHardLink: return '1';
    case Type::kSymlink: return '2';
    case Type::kCharDevice: return '3';
    case Type::kBlockDevice: return '4';
    case Type::kDirectory: return '5';
    case Type::kFifo: return '6';
  }
  return '0';
}

/// "LENGTH key=value\n", where the length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = 1 + key.size() + 1 + value.size() + 1;
  size_t length = rest + 1;
  while (rest + std::to_string(length).size() != length) length = rest + std::to_string(length).size();
  std::string record = std::to_string(length) + " ";
  record += key;
  record += '=';
  record += value;
  record += '\n';
  return record;
}

struct Member {
  std::string path;
  char typeflag;
  const Entry* entry;
  uint64_t size;
  int64_t mtime;
};

void fill_block(uint8_t (&block)[kBlock], const Member& member) {
  std::memset(block, 0, sizeof block);
  const Entry& entry = *member.entry;
  put_text(block, 0, 100, member.path);
  put_octal(block, 100, 8, entry.mode & 07777);
  put_octal(block, 108, 8, std::min<uint64_t>(entry.uid, kMaxId));
  put_octal(block, 116, 8, std::min<uint64_t>(entry.gid, kMaxId));
  put_octal(block, 124, 12, std::min(member.size, kMaxSize));
  put_octal(block, 136, 12, static_cast<uint64_t>(std::clamp<int64_t>(member.mtime, 0, static_cast<int64_t>(kMaxSize))));
  block[156] = static_cast<uint8_t>(member.typeflag);
  if (member.typeflag != 'x') put_text(block, 157, 100, entry.link);
  std::memcpy(block + 257, "ustar\00000", 8);
  if (entry.type == Type::kCharDevice || entry.type == Type::kBlockDevice) {
    put_octal(block, 329, 8, entry.dev_major);
    put_octal(block, 337, 8, entry.dev_minor);
  }
  std::memset(block + 148, ' ', 8);
  unsigned sum = 0;
  for (const uint8_t byte : block) sum += byte;
  put_octal(block, 148, 7, sum);
  block[154] = 0;
}

std::string sparse_map(const Entry& entry) {
  std::string map = std::to_string(entry.extents.size()) + "\n";
  for (const Extent& extent : entry.extents) map += std::to_string(extent.offset) + "\n" + std::to_string(extent.length) + "\n";
  map.resize((map.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return map;
}

/// Seconds as a decimal number; before 1970 the fraction counts away from zero.
std::string time_text(struct timespec time) {
  const bool negative = time.tv_sec < 0;
  if (negative && time.tv_nsec > 0) {
    time.tv_sec += 1;
    time.tv_nsec = 1'000'000'000 - time.tv_nsec;
  }
  const auto seconds = static_cast<unsigned long long>(negative ? -time.tv_sec : time.tv_sec);
  char text[48];
  const int length = time.tv_nsec == 0 ? std::snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", seconds)
                                       : std::snprintf(text, sizeof text, "%s%llu.%09ld", negative ? "-" : "", seconds, time.tv_nsec);
  return {text, static_cast<size_t>(length)};
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

Result<void> TarWriter::pax_header(const std::string& path, const std::string& records) {
  Entry plain;
  plain.mode = 0644;
  uint8_t block[kBlock];
  fill_block(block, {("PaxHeaders.0/" + path).substr(0, 100), 'x', &plain, records.size(), 0});
  BERTH_TRY(output_.write(block));
  BERTH_TRY(output_.write({reinterpret_cast<const uint8_t*>(records.data()), records.size()}));
  const size_t fill = (kBlock - records.size() % kBlock) % kBlock;
  return output_.write({kZeros, fill});
}

Result<void> TarWriter::header(const Entry& entry) {
  const std::string map = entry.sparse ? sparse_map(entry) : std::string();
  const uint64_t size = entry.stored + map.size();
  std::string records;
  if (entry.sparse) {
    records += pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") + pax_record("GNU.sparse.name", entry.path) +
               pax_record("GNU.sparse.realsize", std::to_string(entry.size));
  } else if (entry.path.size() > 100 || !is_plain(entry.path)) {
    records += pax_record("path", entry.path);
  }
  if (entry.link.size() > 100 || !is_plain(entry.link)) records += pax_record("linkpath", entry.link);
  if (entry.uid > kMaxId) records += pax_record("uid", std::to_string(entry.uid));
  if (entry.gid > kMaxId) records += pax_record("gid", std::to_string(entry.gid));
  if (size > kMaxSize) records += pax_record("size", std::to_string(size));
  if (entry.mtime.tv_sec < 0 || static_cast<uint64_t>(entry.mtime.tv_sec) > kMaxSize || entry.mtime.tv_nsec != 0) {
    records += pax_record("mtime", time_text(entry.mtime));
  }
  for (const auto& [name, value] : entry.xattrs) records += pax_record("SCHILY.xattr." + name, value);
  if (!records.empty()) BERTH_TRY(pax_header(entry.path, records));
  uint8_t block[kBlock];
  fill_block(block, {entry.sparse ? ("GNUSparseFile.0/" + entry.path).substr(0, 100) : entry.path, typeflag_of(entry.type), &entry, size,
                     entry.mtime.tv_sec});
  BERTH_TRY(output_.write(block));
  written_ = 0;
  if (!map.empty()) BERTH_TRY(output_.write({reinterpret_cast<const uint8_t*>(map.data()), map.size()}));
  return {};
}

Result<void> TarWriter::write_data(std::span<const uint8_t> bytes) {
  written_ += bytes.size();
  return output_.write(bytes);
}

Result<bool> TarWriter::send_file(int file, uint64_t offset, uint64_t length) {
  BERTH_ASSIGN(const bool sent, output_.send_file(file, offset, length));
  if (sent) written_ += length;
  return sent;
}

Result<void> TarWriter::end_member() {
  const size_t fill = (kBlock - written_ % kBlock) % kBlock;
  written_ = 0;
  return output_.write({kZeros, fill});
}

Result<void> TarWriter::finish() {
  BERTH_TRY(output_.write(kZeros));
  return output_.write(kZeros);
}

}  // namespace berth::tar
