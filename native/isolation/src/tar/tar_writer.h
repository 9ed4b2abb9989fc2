// Writes tar members: ustar where it suffices, a pax extended header before a member where not (long names, large numbers,
// attributes, sparse maps).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tar/entry.h"

namespace berth::tar {

/// Where the tar stream goes; an Error stops it.
class ByteOutput {
 public:
  virtual ~ByteOutput() = default;
  virtual Result<void> write(std::span<const uint8_t> bytes) = 0;
  /// Takes `length` bytes of an open file without their passing through us (zeros where it is shorter); false: it does not, write them.
  virtual Result<bool> send_file(int /*file*/, uint64_t /*offset*/, uint64_t /*length*/) { return false; }
};

/// Header block(s) of a member. Data (`entry.stored` bytes, for sparse files preceded by the map) must follow through write_data,
/// then end_member. Times are whole seconds, as other engines' layers have them.
class TarWriter {
 public:
  explicit TarWriter(ByteOutput& output) : output_(output) {}
  Result<void> header(const Entry& entry);
  Result<void> write_data(std::span<const uint8_t> bytes);
  /// The same for a stretch of a file, where the output can do that.
  Result<bool> send_file(int file, uint64_t offset, uint64_t length);
  Result<void> end_member();
  /// The two blocks of zeros.
  Result<void> finish();

 private:
  Result<void> pax_header(const std::string& path, const std::string& records);
  Result<void> pad();

  ByteOutput& output_;
  uint64_t written_ = 0;  // data bytes of the current member
};

}  // namespace berth::tar
