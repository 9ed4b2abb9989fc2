#include "tar/decoder.h"

#include <bzlib.h>
#include <lzma.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace berth::tar {
namespace {

/// What `xz -9` needs to unpack, and as much again.
constexpr uint64_t kMaxXzMemory = 128u << 20;

class Bzip2 final : public Decoder {
 public:
  Bzip2() = default;
  Bzip2(const Bzip2&) = delete;
  Bzip2& operator=(const Bzip2&) = delete;
  ~Bzip2() override { close(); }

  Result<Step> run(std::span<const uint8_t> in, std::span<uint8_t> out, bool at_end) override {
    if (!open_) {
      // Streams may follow each other.
      if (in.empty() && at_end) return any_ ? Result<Step>(Step{0, 0, true}) : Result<Step>(Error{EBADMSG, "bzip2", "archive", "cut short"});
      if (in.empty()) return Step{};
      if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) return Error{ENOMEM, "bzip2", "archive", {}};
      open_ = any_ = true;
    }
    stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(std::min<size_t>(in.size(), UINT_MAX));
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(std::min<size_t>(out.size(), UINT_MAX));
    const unsigned before_in = stream_.avail_in, before_out = stream_.avail_out;
    const int rc = BZ2_bzDecompress(&stream_);
    const Step step{before_in - stream_.avail_in, before_out - stream_.avail_out, false};
    if (rc == BZ_STREAM_END) {
      close();
    } else if (rc != BZ_OK) {
      return Error{rc == BZ_MEM_ERROR ? ENOMEM : EBADMSG, "bzip2", "archive", "invalid data (" + std::to_string(rc) + ")"};
    } else if (step.taken == 0 && step.made == 0 && at_end) {
      return Error{EBADMSG, "bzip2", "archive", "cut short"};
    }
    return step;
  }

 private:
  void close() {
    if (open_) BZ2_bzDecompressEnd(&stream_);
    open_ = false;
    stream_ = {};
  }

  bz_stream stream_{};
  bool open_ = false, any_ = false;
};

class Xz final : public Decoder {
 public:
  Xz() : usable_(lzma_stream_decoder(&stream_, kMaxXzMemory, LZMA_CONCATENATED) == LZMA_OK) {}
  Xz(const Xz&) = delete;
  Xz& operator=(const Xz&) = delete;
  ~Xz() override { lzma_end(&stream_); }

  Result<Step> run(std::span<const uint8_t> in, std::span<uint8_t> out, bool at_end) override {
    if (!usable_) return Error{ENOMEM, "xz", "archive", {}};
    stream_.next_in = in.data();
    stream_.avail_in = in.size();
    stream_.next_out = out.data();
    stream_.avail_out = out.size();
    const lzma_ret rc = lzma_code(&stream_, at_end ? LZMA_FINISH : LZMA_RUN);
    const Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out, rc == LZMA_STREAM_END};
    if (rc == LZMA_BUF_ERROR && at_end && step.made == 0) return Error{EBADMSG, "xz", "archive", "cut short"};
    if (rc != LZMA_OK && rc != LZMA_STREAM_END && rc != LZMA_BUF_ERROR) {
      const bool memory = rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR;
      return Error{memory ? ENOMEM : EBADMSG, "xz", "archive", "invalid data (" + std::to_string(rc) + ")"};
    }
    return step;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool usable_;
};

}  // namespace

std::unique_ptr<Decoder> decoder_for(std::span<const uint8_t> start) {
  static constexpr uint8_t kBzip2[] = {'B', 'Z', 'h'}, kXz[] = {0xfd, '7', 'z', 'X', 'Z', 0};
  const auto begins = [&](std::span<const uint8_t> magic) {
    return start.size() >= magic.size() && std::memcmp(start.data(), magic.data(), magic.size()) == 0;
  };
  if (begins(kBzip2)) return std::make_unique<Bzip2>();
  if (begins(kXz)) return std::make_unique<Xz>();
  return nullptr;
}

}  // namespace berth::tar
