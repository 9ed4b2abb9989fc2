// bzip2 and xz, which archives from outside may come in. Layers do not: neither is fast.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace berth::tar {

class Decoder {
 public:
  struct Step {
    size_t taken = 0, made = 0;
    bool ended = false;  // of the whole stream
  };
  virtual ~Decoder() = default;
  /// `at_end`: no input comes after `in`. EBADMSG for what is damaged, ENOMEM for what asks for too much memory.
  virtual Result<Step> run(std::span<const uint8_t> in, std::span<uint8_t> out, bool at_end) = 0;
};

/// The decoder for what starts with these bytes (at least 6, unless there are no more); null for any other.
std::unique_ptr<Decoder> decoder_for(std::span<const uint8_t> start);

}  // namespace berth::tar
