#include "monitor/json_escape.h"

#include <array>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace berth::monitor {

namespace {

/// What one ASCII byte is written as; always stored as eight bytes, of which `length` count.
struct Escape {
  char text[7] = {};
  uint8_t length = 0;
};
static_assert(sizeof(Escape) == 8);

constexpr char kHex[] = "0123456789abcdef";

constexpr std::array<Escape, 128> make_escapes() {
  std::array<Escape, 128> table{};
  for (unsigned c = 0; c < 128; c++) {
    Escape& escape = table[c];
    const bool unicode = c < 0x20 || c == '<' || c == '>' || c == '&';
    if (c == '"' || c == '\\' || c == '\n' || c == '\r') {
      escape.text[0] = '\\';
      escape.text[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : static_cast<char>(c);
      escape.length = 2;
    } else if (unicode) {
      const char text[6] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
      for (int i = 0; i < 6; i++) escape.text[i] = text[i];
      escape.length = 6;
    } else {
      escape.text[0] = static_cast<char>(c);
      escape.length = 1;
    }
  }
  return table;
}

constexpr std::array<Escape, 128> kEscapes = make_escapes();

bool plain(unsigned char c) { return c < 128 && kEscapes[c].length == 1; }

bool continuation(unsigned char c) { return (c & 0xC0) == 0x80; }

/// Length of the well-formed sequence at `p` (Unicode table 3-7), 0 if there is none.
size_t utf8_length(const unsigned char* p, size_t left) {
  const unsigned char lead = p[0];
  if (lead < 0xC2 || lead > 0xF4) return 0;
  if (lead < 0xE0) return left >= 2 && continuation(p[1]) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !continuation(p[1]) || !continuation(p[2])) return 0;
    if (lead == 0xE0 && p[1] < 0xA0) return 0;  // longer than needed
    if (lead == 0xED && p[1] > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (left < 4 || !continuation(p[1]) || !continuation(p[2]) || !continuation(p[3])) return 0;
  if (lead == 0xF0 && p[1] < 0x90) return 0;  // longer than needed
  if (lead == 0xF4 && p[1] > 0x8F) return 0;  // past U+10FFFF
  return 4;
}

#if defined(__SSE2__)
/// Copies plain bytes, sixteen at a time, up to the first that needs more than a copy.
void copy_plain(char*& out, const unsigned char*& in, const unsigned char* end) {
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), less = _mm_set1_epi8('<'),
                greater = _mm_set1_epi8('>'), ampersand = _mm_set1_epi8('&'), space = _mm_set1_epi8(0x20);
  while (end - in >= 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
    // Signed comparison: bytes from 0x80 on are negative and so "below space" too.
    __m128i special = _mm_cmplt_epi8(block, space);
    special = _mm_or_si128(special, _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, slash)));
    special = _mm_or_si128(special, _mm_or_si128(_mm_cmpeq_epi8(block, less), _mm_cmpeq_epi8(block, greater)));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(block, ampersand));
    const unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(special));
    const size_t length = mask == 0 ? 16 : static_cast<size_t>(__builtin_ctz(mask));
    out += length;
    in += length;
    if (mask != 0) return;
  }
  while (in < end && plain(*in)) *out++ = static_cast<char>(*in++);
}
#else
void copy_plain(char*& out, const unsigned char*& in, const unsigned char* end) {
  while (in < end && plain(*in)) *out++ = static_cast<char>(*in++);
}
#endif

char* put(char* out, const char* text, size_t length) {
  std::memcpy(out, text, length);
  return out + length;
}

/// One sequence that is not ASCII.
char* escape_wide(char* out, const unsigned char*& in, const unsigned char* end) {
  const size_t length = utf8_length(in, static_cast<size_t>(end - in));
  if (length == 0) {
    in++;
    return put(out, "\\ufffd", 6);
  }
  // U+2028 and U+2029 end a line in JavaScript, so Go escapes them.
  if (length == 3 && in[0] == 0xE2 && in[1] == 0x80 && (in[2] & 0xFE) == 0xA8) {
    out = put(out, "\\u202", 5);
    *out++ = kHex[in[2] & 15];
  } else if (end - in >= 4) {
    std::memcpy(out, in, 4);  // one move; what is too much is overwritten
    out += length;
  } else {
    out = put(out, reinterpret_cast<const char*>(in), length);
  }
  in += length;
  return out;
}

}  // namespace

char* escape_json(char* out, const char* data, size_t length) {
  const auto* in = reinterpret_cast<const unsigned char*>(data);
  const auto* end = in + length;
  while (true) {
    copy_plain(out, in, end);
    // Special bytes come in runs (binary output, text that is not English): stay here while they do.
    while (in < end && !plain(*in)) {
      if (*in >= 0x80) {
        out = escape_wide(out, in, end);
      } else {
        const Escape& escape = kEscapes[*in++];
        std::memcpy(out, &escape, sizeof escape);
        out += escape.length;
      }
    }
    if (in >= end) return out;
  }
}

void append_json_string(std::string& out, std::string_view text) {
  const size_t start = out.size() + 1;
  out.resize(start + escaped_bound(text.size()));
  out[start - 1] = '"';
  char* end = escape_json(out.data() + start, text.data(), text.size());
  *end++ = '"';
  out.resize(static_cast<size_t>(end - out.data()));
}

}  // namespace berth::monitor
