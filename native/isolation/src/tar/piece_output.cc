#include "tar/piece_output.h"

#include <algorithm>

namespace berth::tar {

Result<void> PieceOutput::write(std::span<const uint8_t> bytes) {
  if (bytes.size() >= kLarge) {
    BERTH_TRY(flush());
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kPiece))) {
      BERTH_TRY(give_(bytes.first(std::min(bytes.size(), kPiece))));
    }
    return {};
  }
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kPiece - waiting_.size());
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (waiting_.size() == kPiece) BERTH_TRY(flush());
  }
  return {};
}

Result<bool> PieceOutput::send_file(int file, uint64_t offset, uint64_t length) {
  if (!send_file_) return false;
  BERTH_TRY(flush());
  BERTH_TRY(send_file_(file, offset, length));
  return true;
}

Result<void> PieceOutput::flush() {
  if (waiting_.empty()) return {};
  BERTH_TRY(give_(waiting_));
  waiting_.clear();
  return {};
}

}  // namespace berth::tar
