// Turns a layer's bytes into the tar stream: gzip (RFC 1952), zstd (RFC 8878), bzip2, xz or as it is, told apart by their first bytes.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>

#include "tar/decoder.h"
#include "tar/sha256.h"
#include "tar/source.h"

namespace berth::tar {

class Inflate {
 public:
  /// `hash_compressed` also hashes what comes in.
  Inflate(Source& source, bool hash_compressed);
  ~Inflate();
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;

  /// Fills `into` as far as the stream goes; less than its size only at the end, or before an error. EBADMSG when the compression is damaged or cut short.
  Result<size_t> read(std::span<uint8_t> into);
  /// The next stretch of the stream, valid until the next call; empty at the end. It lies in `storage` unless the stream is plain: then
  /// it is what the source gave, as it came. Not to be mixed with read().
  Result<std::span<const uint8_t>> next(std::span<uint8_t> storage);
  /// Compressed bytes taken so far; any thread.
  [[nodiscard]] uint64_t bytes_in() const noexcept { return bytes_in_.load(std::memory_order_relaxed); }
  /// Of all that came in, if asked for; after the end.
  std::string compressed_digest() { return hash_compressed_ ? compressed_.digest() : std::string(); }

 private:
  struct Gzip;
  struct Zstd;
  enum class Kind { kUnknown, kPlain, kGzip, kZstd, kOther };

  Result<void> fill();
  Result<void> detect();
  Result<size_t> read_plain(std::span<uint8_t> into);
  Result<size_t> read_gzip(std::span<uint8_t> into);
  Result<size_t> read_zstd(std::span<uint8_t> into);
  Result<size_t> read_other(std::span<uint8_t> into);
  Result<size_t> read_some(std::span<uint8_t> into);

  Source& source_;
  const bool hash_compressed_;
  Sha256 compressed_;
  Kind kind_ = Kind::kUnknown;
  std::unique_ptr<uint8_t[]> buffer_;
  std::span<const uint8_t> input_;  // what of buffer_ is not used yet
  bool at_end_ = false;
  std::atomic<uint64_t> bytes_in_ = 0;
  std::unique_ptr<Gzip> gzip_;
  std::unique_ptr<Zstd> zstd_;
  std::unique_ptr<Decoder> other_;
  std::optional<Error> failure_;  // for the next read: what came before it has been given out
};

}  // namespace berth::tar
