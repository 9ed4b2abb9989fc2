#include "tar/inflate.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

namespace berth::tar {
namespace {
constexpr size_t kInput = 256 * 1024;
Error damaged(const char* format, const std::string& what) { return Error{EBADMSG, format, "layer", what}; }
}  // namespace

struct Inflate::Gzip {
  struct inflate_state state;
  bool in_member = false;
  bool any_member = false;
};

struct Inflate::Zstd {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  bool in_frame = false;
  ~Zstd() { ZSTD_freeDCtx(context); }
};

Inflate::Inflate(Source& source, bool hash_compressed)
    : source_(source), hash_compressed_(hash_compressed), buffer_(new uint8_t[kInput]) {}
Inflate::~Inflate() = default;

/// More input, unless there is some or the end has come.
Result<void> Inflate::fill() {
  if (!input_.empty() || at_end_) return {};
  BERTH_ASSIGN(const size_t count, source_.read({buffer_.get(), kInput}));
  at_end_ = count == 0;
  input_ = {buffer_.get(), count};
  bytes_in_.fetch_add(count, std::memory_order_relaxed);
  if (hash_compressed_) compressed_.update(input_);
  return {};
}

Result<void> Inflate::detect() {
  // The six bytes of the longest magic number may come one by one.
  size_t have = 0;
  while (have < 6) {
    BERTH_ASSIGN(const size_t count, source_.read({buffer_.get() + have, kInput - have}));
    if (count == 0) {
      at_end_ = true;
      break;
    }
    have += count;
  }
  input_ = {buffer_.get(), have};
  bytes_in_.fetch_add(have, std::memory_order_relaxed);
  if (hash_compressed_) compressed_.update(input_);
  static constexpr uint8_t kZstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  if (have >= 3 && input_[0] == 0x1f && input_[1] == 0x8b && input_[2] == 8) {
    kind_ = Kind::kGzip;
    gzip_ = std::make_unique<Gzip>();
  } else if (have >= 4 && (std::memcmp(input_.data(), kZstd, 4) == 0 ||
                           (input_[1] == 0x2a && input_[2] == 0x4d && input_[3] == 0x18 && (input_[0] & 0xf0) == 0x50))) {
    kind_ = Kind::kZstd;
    zstd_ = std::make_unique<Zstd>();
    if (zstd_->context == nullptr) return Error{ENOMEM, "zstd", "layer", {}};
  } else if ((other_ = decoder_for(input_)) != nullptr) {
    kind_ = Kind::kOther;
  } else {
    kind_ = Kind::kPlain;
  }
  return {};
}

Result<size_t> Inflate::read_some(std::span<uint8_t> into) {
  switch (kind_) {
    case Kind::kGzip: return read_gzip(into);
    case Kind::kZstd: return read_zstd(into);
    case Kind::kOther: return read_other(into);
    default: return read_plain(into);
  }
}

Result<size_t> Inflate::read(std::span<uint8_t> into) {
  if (failure_) return *failure_;
  if (kind_ == Kind::kUnknown) BERTH_TRY(detect());
  size_t filled = 0;
  while (filled < into.size()) {
    const auto count = read_some(into.subspan(filled));
    if (!count.ok()) {
      failure_ = count.error();
      return filled > 0 ? Result<size_t>(filled) : Result<size_t>(*failure_);
    }
    if (count.value() == 0) break;
    filled += count.value();
  }
  return filled;
}

Result<std::span<const uint8_t>> Inflate::next(std::span<uint8_t> storage) {
  if (kind_ == Kind::kUnknown) BERTH_TRY(detect());
  if (kind_ == Kind::kPlain) {
    BERTH_TRY(fill());
    return std::exchange(input_, {});
  }
  BERTH_ASSIGN(const size_t count, read(storage));
  return std::span<const uint8_t>(storage.first(count));
}

Result<size_t> Inflate::read_other(std::span<uint8_t> into) {
  for (;;) {
    BERTH_TRY(fill());
    BERTH_ASSIGN(const Decoder::Step step, other_->run(input_, into, at_end_));
    input_ = input_.subspan(step.taken);
    if (step.made > 0 || step.ended) return step.made;
  }
}

Result<size_t> Inflate::read_plain(std::span<uint8_t> into) {
  BERTH_TRY(fill());
  const size_t count = std::min(into.size(), input_.size());
  if (count == 0) return size_t{0};
  std::memcpy(into.data(), input_.data(), count);
  input_ = input_.subspan(count);
  return count;
}

Result<size_t> Inflate::read_gzip(std::span<uint8_t> into) {
  Gzip& gzip = *gzip_;
  for (;;) {
    BERTH_TRY(fill());
    if (!gzip.in_member) {
      // Between members: another one, zeros (tape padding), or the end.
      while (gzip.any_member && !input_.empty() && input_[0] == 0) {
        input_ = input_.subspan(1);
        if (input_.empty()) BERTH_TRY(fill());
      }
      if (input_.empty()) return gzip.any_member ? Result<size_t>(size_t{0}) : Result<size_t>(damaged("gzip", "cut short"));
      if (input_[0] != 0x1f) return damaged("gzip", "garbage after the end of the stream");
      isal_inflate_init(&gzip.state);
      gzip.state.crc_flag = ISAL_GZIP;  // header and trailer too; the checksum is verified
      gzip.in_member = gzip.any_member = true;
    }
    gzip.state.next_in = const_cast<uint8_t*>(input_.data());
    gzip.state.avail_in = static_cast<uint32_t>(input_.size());
    gzip.state.next_out = into.data();
    gzip.state.avail_out = static_cast<uint32_t>(std::min<size_t>(into.size(), 1u << 30));
    const uint32_t room = gzip.state.avail_out;
    const int rc = isal_inflate(&gzip.state);
    const size_t made = room - gzip.state.avail_out;
    const bool moved = made > 0 || gzip.state.avail_in < input_.size();
    input_ = input_.subspan(input_.size() - gzip.state.avail_in);
    if (rc < 0) return damaged("gzip", "invalid data (" + std::to_string(rc) + ")");
    if (gzip.state.block_state == ISAL_BLOCK_FINISH) gzip.in_member = false;
    if (made > 0) return made;
    if (gzip.in_member && input_.empty() && at_end_) return damaged("gzip", "cut short");
    if (gzip.in_member && !moved && !input_.empty()) return damaged("gzip", "no progress");
  }
}

Result<size_t> Inflate::read_zstd(std::span<uint8_t> into) {
  Zstd& zstd = *zstd_;
  for (;;) {
    BERTH_TRY(fill());
    if (input_.empty() && at_end_ && !zstd.in_frame) return size_t{0};
    ZSTD_inBuffer in{input_.data(), input_.size(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    const size_t rc = ZSTD_decompressStream(zstd.context, &out, &in);
    if (ZSTD_isError(rc) != 0) return damaged("zstd", ZSTD_getErrorName(rc));
    input_ = input_.subspan(in.pos);
    zstd.in_frame = rc != 0;
    if (out.pos > 0) return out.pos;
    if (zstd.in_frame && input_.empty() && at_end_) return damaged("zstd", "cut short");
  }
}

}  // namespace berth::tar
