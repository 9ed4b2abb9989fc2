// The end of a diff's pipe: hashes, optionally gzips, gives out whole pieces.
#pragma once

#include <isa-l/igzip_lib.h>

#include <functional>
#include <memory>
#include <vector>

#include "tar/diff.h"
#include "tar/sha256.h"
#include "tar/tar_writer.h"

namespace berth::tar {

class DiffOutput final : public ByteOutput {
 public:
  using Give = std::function<Result<void>(std::span<const uint8_t>)>;
  DiffOutput(bool gzip, const Give& give);
  Result<void> write(std::span<const uint8_t> bytes) override;
  Result<DiffResult> finish();

 private:
  static constexpr size_t kPiece = 256 * 1024;
  Result<void> flush_tar(bool last);
  Result<void> emit(std::span<const uint8_t> bytes);

  const Give& give_;
  std::vector<uint8_t> tar_;  // not flushed yet
  Sha256 tar_hash_, out_hash_;
  struct Gzip {
    struct isal_zstream stream;
    std::vector<uint8_t> level_buffer, out;
  };
  std::unique_ptr<Gzip> gzip_;
  DiffResult result_;
};

}  // namespace berth::tar
