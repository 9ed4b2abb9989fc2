// SHA-256 as it goes by. OpenSSL's low-level calls on purpose: they use the processor's SHA instructions, and need none of the
// library's global state, which Node has a copy of its own of.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <cstdint>
#include <span>
#include <string>

namespace berth::tar {

class Sha256 {
 public:
  Sha256() { SHA256_Init(&state_); }
  void update(std::span<const uint8_t> bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }
  /// "sha256:HEX"; nothing may be added afterwards.
  std::string digest() {
    uint8_t raw[SHA256_DIGEST_LENGTH];
    SHA256_Final(raw, &state_);
    static constexpr char kHex[] = "0123456789abcdef";
    std::string text = "sha256:";
    for (const uint8_t byte : raw) {
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
    return text;
  }

 private:
  SHA256_CTX state_;
};

}  // namespace berth::tar
