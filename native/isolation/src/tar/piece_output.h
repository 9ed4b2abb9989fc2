// Collects what a tar writer gives in blocks of 512 bytes into pieces worth passing on.
#pragma once

#include <functional>
#include <vector>

#include "tar/tar_writer.h"

namespace berth::tar {

using GiveBytes = std::function<Result<void>(std::span<const uint8_t>)>;

/// To be flushed at the end.
class PieceOutput final : public ByteOutput {
 public:
  using SendFile = std::function<Result<void>(int file, uint64_t offset, uint64_t length)>;

  /// `send_file`: gives a stretch of a file in its place between the pieces; null: it is read.
  explicit PieceOutput(GiveBytes give, SendFile send_file = nullptr) : give_(std::move(give)), send_file_(std::move(send_file)) {
    waiting_.reserve(kPiece);
  }

  Result<void> write(std::span<const uint8_t> bytes) override;
  Result<bool> send_file(int file, uint64_t offset, uint64_t length) override;
  Result<void> flush();

 private:
  static constexpr size_t kPiece = 256 * 1024;
  /// Bytes that are given as they are, after what waits: to copy them would cost more than a piece that is not full.
  static constexpr size_t kLarge = kPiece / 2;
  GiveBytes give_;
  SendFile send_file_;
  std::vector<uint8_t> waiting_;
};

}  // namespace berth::tar
