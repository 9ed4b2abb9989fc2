// A log's records as the Engine API sends them.
#include <doctest/doctest.h>

#include <string>

#include "logs/format.h"

using namespace berth::logs;

namespace {

std::string line(const std::string& log, const char* stream, const std::string& time, const std::string& attributes = "") {
  return "{\"log\":\"" + log + "\",\"stream\":\"" + stream + "\"" + attributes + ",\"time\":\"" + time + "\"}\n";
}

std::string compact(const std::string& content, uint8_t flags, int64_t nano) {
  std::string record;
  const auto put = [&](uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) record += static_cast<char>(value >> (8 * i));
  };
  put(content.size(), 4);
  put(flags, 1);
  put(static_cast<uint64_t>(nano), 8);
  record += content;
  put(content.size(), 4);
  return record;
}

FormatOptions raw() {
  FormatOptions options;
  options.framed = false;
  return options;
}

/// All records of `text`.
std::string formatted(std::string_view text, const FormatOptions& options, bool* past = nullptr) {
  Formatter formatter(options);
  std::string out;
  for (int64_t size; (size = record_size(text, options.compact)) > 0; text.remove_prefix(static_cast<size_t>(size))) {
    formatter.add(text.substr(0, static_cast<size_t>(size)), out);
  }
  if (past != nullptr) *past = formatter.past();
  return out;
}

const char* const kTime = "2026-01-02T03:04:05.6Z";

}  // namespace

TEST_CASE("lines of json-file become frames of their stream") {
  const std::string text = line("one\\n", "stdout", kTime) + line("two\\n", "stderr", kTime);
  CHECK(formatted(text, {}) == std::string("\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\4two\n", 24));
  FormatOptions only = raw();
  only.out = false;
  CHECK(formatted(text, only) == "two\n");
}

TEST_CASE("what was escaped is as it was") {
  const std::string text = line(R"(\t\"q\" \\ \/ \b\f\r \u0001\u00e9\ud83d\ude00\u003c end)", "stdout", kTime);
  CHECK(formatted(text, raw()) == "\t\"q\" \\ / \b\f\r \x01\xc3\xa9\xf0\x9f\x98\x80< end");
  // What looks like the end of a line inside of one.
  CHECK(formatted(line(R"(\",\"stream\":\"stderr\",\"time\":\"x\"}\n)", "stdout", kTime), raw()) == "\",\"stream\":\"stderr\",\"time\":\"x\"}\n");
  CHECK(formatted(line("ends \\u00", "stdout", kTime), raw()) == "ends 00");
}

TEST_CASE("times have nine digits, and bounds keep to them") {
  FormatOptions options = raw();
  options.timestamps = true;
  const std::string text = line("a\\n", "stdout", "2026-01-02T03:04:05Z") + line("b\\n", "stdout", "2026-01-02T03:04:05.000000001Z") +
                           line("c\\n", "stdout", "2026-01-02T03:04:05.5Z");
  CHECK(formatted(text, options) ==
        "2026-01-02T03:04:05.000000000Z a\n2026-01-02T03:04:05.000000001Z b\n2026-01-02T03:04:05.500000000Z c\n");
  options.timestamps = false;
  options.since = "2026-01-02T03:04:05.000000001Z";
  CHECK(formatted(text, options) == "b\nc\n");
  options.until = "2026-01-02T03:04:05.499999999Z";
  bool past = false;
  CHECK(formatted(text, options, &past) == "b\n");
  CHECK(past);
}

TEST_CASE("any order of members, details, and what is no line") {
  FormatOptions options = raw();
  options.details = true;
  const std::string attributes = R"(,"attrs":{"z":"a b","k":"é&"})";
  CHECK(formatted(line("x\\n", "stdout", kTime, attributes), options) == "k=%C3%A9%26,z=a+b x\n");
  CHECK(formatted(line("x\\n", "stdout", kTime), options) == " x\n");
  CHECK(formatted("{\"time\":\"" + std::string(kTime) + "\",\"log\":\"y\\n\"}\n", raw()) == "y\n");
  for (const char* torn : {"{\"log\":\"x\n", "\n", "{}\n", "[1]\n", "{\"log\":1,\"stream\":\"stdout\",\"time\":\"2026\"}\n",
                           "{\"log\":\"\",\"stream\":\"stdout\",\"time\":\"\"}\n"}) {
    CHECK_MESSAGE(formatted(torn + line("x", "stdout", kTime), raw()) == "x", torn);
  }
}

TEST_CASE("compact records") {
  FormatOptions options;
  options.compact = true;
  options.timestamps = true;
  const int64_t nano = 1'767'323'045'000'000'006;
  const std::string text = compact("out\n", 0, nano) + compact("part", 3, nano + 1'000'000'000);
  CHECK(formatted(text, options) == std::string("\1\0\0\0\0\0\0\x23" "2026-01-02T03:04:05.000000006Z out\n\2\0\0\0\0\0\0\x23"
                                                "2026-01-02T03:04:06.000000006Z part", 86));
  CHECK(record_size(text.substr(0, 20), true) == 0);
  CHECK(record_size(text.substr(0, 3), true) == 0);
  CHECK(record_size("\xff\xff\xff\x7f garbage", true) == -1);
  CHECK(record_size(std::string(kMaxRecord + 1, 'x'), false) == -1);
}
