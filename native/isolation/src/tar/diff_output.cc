#include "tar/diff_output.h"

#include <algorithm>

namespace berth::tar {

DiffOutput::DiffOutput(bool gzip, const Give& give) : give_(give) {
  tar_.reserve(kPiece);
  if (!gzip) return;
  gzip_ = std::make_unique<Gzip>();
  gzip_->level_buffer.resize(ISAL_DEF_LVL1_DEFAULT);
  gzip_->out.resize(kPiece);
  isal_deflate_init(&gzip_->stream);
  gzip_->stream.level = 1;
  gzip_->stream.level_buf = gzip_->level_buffer.data();
  gzip_->stream.level_buf_size = static_cast<uint32_t>(gzip_->level_buffer.size());
  gzip_->stream.gzip_flag = IGZIP_GZIP;
}

Result<void> DiffOutput::emit(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return {};
  out_hash_.update(bytes);
  result_.size += bytes.size();
  return give_(bytes);
}

Result<void> DiffOutput::flush_tar(bool last) {
  tar_hash_.update(tar_);
  result_.tar_size += tar_.size();
  if (!gzip_) {
    BERTH_TRY(emit(tar_));
    tar_.clear();
    return {};
  }
  struct isal_zstream& stream = gzip_->stream;
  stream.next_in = tar_.data();
  stream.avail_in = static_cast<uint32_t>(tar_.size());
  stream.end_of_stream = last ? 1 : 0;
  do {
    stream.next_out = gzip_->out.data();
    stream.avail_out = static_cast<uint32_t>(gzip_->out.size());
    if (isal_deflate(&stream) != COMP_OK) return Error{EIO, "gzip", "layer", "the compressor failed"};
    BERTH_TRY(emit({gzip_->out.data(), gzip_->out.size() - stream.avail_out}));
  } while (stream.avail_out == 0);
  tar_.clear();
  return {};
}

Result<void> DiffOutput::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kPiece - tar_.size());
    tar_.insert(tar_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (tar_.size() == kPiece) BERTH_TRY(flush_tar(false));
  }
  return {};
}

Result<DiffResult> DiffOutput::finish() {
  BERTH_TRY(flush_tar(true));
  result_.diff_id = tar_hash_.digest();
  result_.digest = out_hash_.digest();
  return result_;
}

}  // namespace berth::tar
