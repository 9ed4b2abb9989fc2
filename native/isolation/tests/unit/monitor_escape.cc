// json_escape against nlohmann's parser and against a slow, obvious encoder.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "monitor/json_escape.h"

using berth::monitor::append_json_string;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// Go's utf8.DecodeRune, for validity only: the sequence's length, or 0.
size_t slow_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  const size_t length = lead < 0x80 ? 1 : (lead >> 5) == 6 ? 2 : (lead >> 4) == 14 ? 3 : (lead >> 3) == 30 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  if (length == 1) return 1;
  uint32_t code = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
  return length;
}

std::string slow_escape(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = slow_sequence(text);
    const std::string_view piece = text.substr(0, length == 0 ? 1 : length);
    const unsigned char c = static_cast<unsigned char>(piece[0]);
    char unicode[8];
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += piece;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
      std::snprintf(unicode, sizeof unicode, "\\u%04x", c);
      out += unicode;
    } else if (piece == "\xE2\x80\xA8") {
      out += "\\u2028";
    } else if (piece == "\xE2\x80\xA9") {
      out += "\\u2029";
    } else {
      out += piece;
    }
    text.remove_prefix(piece.size());
  }
  return out + "\"";
}

}  // namespace

TEST_CASE("escapes as Docker's json-file does") {
  CHECK(escaped("plain") == "\"plain\"");
  CHECK(escaped("a\"b\\c") == "\"a\\\"b\\\\c\"");
  CHECK(escaped("\n\r\t\x01\x7f") == "\"\\n\\r\\u0009\\u0001\x7f\"");
  CHECK(escaped("<a&b>") == "\"\\u003ca\\u0026b\\u003e\"");
  CHECK(escaped("gr\xC3\xBC\xC3\x9F") == "\"gr\xC3\xBC\xC3\x9F\"");
  CHECK(escaped("\xE2\x80\xA8\xE2\x80\xA9") == "\"\\u2028\\u2029\"");
  CHECK(escaped(std::string_view("\0", 1)) == "\"\\u0000\"");
}

TEST_CASE("each byte that is not UTF-8 becomes one U+FFFD") {
  CHECK(escaped("\xFF") == "\"\\ufffd\"");
  CHECK(escaped("\xC0\x80") == "\"\\ufffd\\ufffd\"");              // longer than needed
  CHECK(escaped("\xED\xA0\x80") == "\"\\ufffd\\ufffd\\ufffd\"");   // a surrogate
  CHECK(escaped("\xF4\x90\x80\x80") == "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
  CHECK(escaped("\xE2\x82") == "\"\\ufffd\\ufffd\"");              // cut off
  CHECK(escaped("\xE2\x82z") == "\"\\ufffd\\ufffdz\"");
}

TEST_CASE("random bytes and text come out as the slow encoder says, and parse") {
  std::mt19937 random(42);
  const std::string alphabet = "ab \"\\<\n\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80\xFF\x80\x01";
  for (int round = 0; round < 4000; round++) {
    std::string text;
    const size_t length = random() % 70;
    const bool any = round % 2 == 0;
    for (size_t i = 0; i < length; i++)
      text += any ? static_cast<char>(random() % 256) : alphabet[random() % alphabet.size()];
    const std::string fast = escaped(text);
    REQUIRE(fast == slow_escape(text));
    REQUIRE_FALSE(nlohmann::json::parse(fast, nullptr, false).is_discarded());
  }
}
