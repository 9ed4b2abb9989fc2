// Reads a tar stream member by member. Hostile input is expected: every number is checked and every list bounded.
//
// Use: next() gives an entry (or nothing at the archive's end); then data() until it gives nothing; then next() again, which
// skips what was not read. After the end, drain() takes what still follows, so that the stream's digest covers all of it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "tar/entry.h"
#include "tar/header.h"

namespace berth::tar {

/// The tar stream in pieces of any size.
class ByteInput {
 public:
  virtual ~ByteInput() = default;
  /// The next piece, valid until the next call; empty at the end.
  virtual Result<std::span<const uint8_t>> next() = 0;
};

/// A stretch of a file's content.
struct Piece {
  uint64_t offset;  // in the file
  std::span<const uint8_t> bytes;
};

class Reader {
 public:
  explicit Reader(ByteInput& input) : input_(input) {}

  Result<std::optional<Entry>> next();
  /// The next stretch of the current entry's data; empty bytes at its end.
  Result<Piece> data();
  Result<void> drain();

 private:
  Result<bool> more();
  Result<bool> read_block(uint8_t (&storage)[kBlock], const uint8_t*& block);
  Result<std::string> read_text(uint64_t size, const char* what);
  Result<void> skip(uint64_t count);
  Result<void> apply_pax(Entry& entry, const Pax& pax);
  Result<void> read_sparse(RawHeader& header, const Pax& pax, Block block);
  Result<void> read_sparse_1_0(Entry& entry);
  Result<void> check_extents(const Entry& entry);
  Result<Entry> finish(RawHeader& header, const Pax& pax, Block block);

  ByteInput& input_;
  std::span<const uint8_t> piece_;
  uint64_t left_ = 0;     // stored bytes of the current entry not read yet
  uint64_t padding_ = 0;  // bytes up to the next block after them
  uint64_t position_ = 0;  // in the file's content, or in the current extent
  size_t extent_ = 0;
  bool sparse_ = false;
  std::vector<Extent> extents_;
};

}  // namespace berth::tar
