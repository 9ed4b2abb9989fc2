#include "logs/format.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/hex.h"

namespace berth::logs {
namespace {

/// A compact record: size, flags, time, content, size again; the file begins with a header that is no record.
constexpr size_t kCompactHead = 13, kCompactOverhead = 17, kMaxContent = 16'385;
constexpr uint8_t kCompactStderr = 1;
constexpr size_t kFrame = 8;
/// "2026-01-02T03:04:05" and what is added to it.
constexpr size_t kSeconds = 19, kDigits = 9;

constexpr std::string_view kHead = R"({"log":")";
constexpr std::string_view kOut = R"(","stream":"stdout","time":")", kErr = R"(","stream":"stderr","time":")";
constexpr std::string_view kEnd = R"("})";

template <typename T>
T little_endian(std::string_view bytes) {
  T value = 0;
  for (size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(value << 8 | static_cast<uint8_t>(bytes[i]));
  return value;
}

/// With nine digits, whatever the writer left out.
std::string padded(std::string_view time) {
  std::string text(time.substr(0, kSeconds));
  text += '.';
  if (time.size() > kSeconds && time[kSeconds] == '.') text += time.substr(kSeconds + 1, time.size() - kSeconds - 2);
  text.resize(kSeconds + 1 + kDigits, '0');
  text += 'Z';
  return text;
}

/// Four hexadecimal digits; -1 when they are none.
int hex4(std::string_view text) {
  if (text.size() < 4) return -1;
  int code = 0;
  for (size_t i = 0; i < 4; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) return -1;
    code = code << 4 | digit;
  }
  return code;
}

void put_utf8(uint32_t code, std::string& out) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 63));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 63));
    put(0x80 | (code >> 6 & 63));
  }
  put(0x80 | (code & 63));
}

char simple_escape(char letter) {
  switch (letter) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'b': return '\b';
    case 'f': return '\f';
    default: return letter;  // quote, backslash, slash
  }
}

/// The bytes of a JSON string's inside.
void unescape(std::string_view text, std::string& out) {
  for (;;) {
    const size_t slash = text.find('\\');
    out += text.substr(0, slash);
    if (slash == std::string_view::npos || slash + 1 == text.size()) return;
    const char letter = text[slash + 1];
    text.remove_prefix(slash + 2);
    if (letter != 'u') {
      out += simple_escape(letter);
      continue;
    }
    int code = hex4(text);
    if (code < 0) continue;
    text.remove_prefix(4);
    // Two halves of a character beyond the first plane.
    if (code >= 0xd800 && code < 0xdc00 && text.starts_with("\\u")) {
      const int low = hex4(text.substr(2));
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        text.remove_prefix(6);
      }
    }
    put_utf8(static_cast<uint32_t>(code), out);
  }
}

/// As Go's url.QueryEscape.
void escape(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::strchr("-_.~", c) != nullptr;
    if (plain && c != '\0') {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[static_cast<uint8_t>(c) >> 4];
      out += kHex[static_cast<uint8_t>(c) & 15];
    }
  }
}

/// "key=value,key=value", sorted.
std::string details_of(const nlohmann::json& line) {
  const auto attributes = line.find("attrs");
  if (attributes == line.end() || !attributes->is_object()) return {};
  std::vector<std::string> pairs;
  for (const auto& [key, value] : attributes->items()) {
    std::string& pair = pairs.emplace_back();
    escape(key, pair);
    pair += '=';
    escape(value.is_string() ? value.get_ref<const std::string&>() : value.dump(), pair);
  }
  std::sort(pairs.begin(), pairs.end());
  std::string text;
  for (const std::string& pair : pairs) text += (text.empty() ? "" : ",") + pair;
  return text;
}

}  // namespace

int64_t record_size(std::string_view bytes, bool compact) {
  if (!compact) {
    const size_t end = bytes.find('\n');
    if (end != std::string_view::npos) return static_cast<int64_t>(end + 1);
    return bytes.size() > kMaxRecord ? -1 : 0;
  }
  if (bytes.size() < 4) return 0;
  const auto size = little_endian<uint32_t>(bytes);
  if (size > kMaxContent) return -1;
  return bytes.size() < size + kCompactOverhead ? 0 : static_cast<int64_t>(size + kCompactOverhead);
}

void Formatter::add(std::string_view record, std::string& out) {
  if (options_.compact) return add_compact(record, out);
  record.remove_suffix(1);
  if (!add_usual_line(record, out)) add_line(record, out);
}

bool Formatter::in_range(std::string_view time) {
  if (options_.since.empty() && options_.until.empty()) return true;
  const std::string text = padded(time);
  if (!options_.until.empty() && text > options_.until) {
    past_ = true;
    return false;
  }
  return options_.since.empty() || text >= options_.since;
}

size_t Formatter::begin(bool is_error, std::string_view time, std::string_view details, std::string& out) const {
  const size_t frame = out.size();
  if (options_.framed) {
    out.append(kFrame, '\0');
    out[frame] = is_error ? 2 : 1;
  }
  if (options_.timestamps) {
    out += time;
    out += ' ';
  }
  if (options_.details) {
    out += details;
    out += ' ';
  }
  return frame;
}

void Formatter::end(size_t frame, std::string& out) const {
  if (!options_.framed) return;
  const size_t size = out.size() - frame - kFrame;
  for (size_t i = 0; i < 4; ++i) out[frame + 4 + i] = static_cast<char>(size >> (8 * (3 - i)));
}

/// A line as the monitor writes it, which is nearly every one; false for any other.
bool Formatter::add_usual_line(std::string_view line, std::string& out) {
  if (!line.starts_with(kHead) || !line.ends_with(kEnd)) return false;
  const size_t close = line.size() - kEnd.size();
  const size_t open = line.rfind('"', close - 1);
  if (open == std::string_view::npos || open + 1 < kHead.size() + kOut.size() || close - open < kSeconds + 2) return false;
  const size_t content_end = open + 1 - kOut.size();
  const std::string_view middle = line.substr(content_end, kOut.size());
  const bool is_error = middle == kErr;
  if (!is_error && middle != kOut) return false;
  const std::string_view time = line.substr(open + 1, close - open - 1);
  if (!wanted(is_error) || !in_range(time)) return true;
  const size_t frame = begin(is_error, options_.timestamps ? padded(time) : std::string(), {}, out);
  unescape(line.substr(kHead.size(), content_end - kHead.size()), out);
  end(frame, out);
  return true;
}

/// Any JSON with Docker's members, in any order.
void Formatter::add_line(std::string_view line, std::string& out) {
  const nlohmann::json parsed = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
  if (!parsed.is_object()) return;
  const auto text = [&](const char* key) -> const std::string* {
    const auto found = parsed.find(key);
    return found == parsed.end() || !found->is_string() ? nullptr : &found->get_ref<const std::string&>();
  };
  const std::string *log = text("log"), *time = text("time"), *stream = text("stream");
  if (log == nullptr || time == nullptr || time->size() <= kSeconds) return;
  const bool is_error = stream != nullptr && *stream == "stderr";
  if (!wanted(is_error) || !in_range(*time)) return;
  const size_t frame = begin(is_error, padded(*time), options_.details ? details_of(parsed) : std::string(), out);
  out += *log;
  end(frame, out);
}

void Formatter::add_compact(std::string_view record, std::string& out) {
  const bool is_error = (static_cast<uint8_t>(record[4]) & kCompactStderr) != 0;
  if (!wanted(is_error)) return;
  std::string_view time;
  if (options_.timestamps || !options_.since.empty() || !options_.until.empty()) {
    time = stamp(little_endian<int64_t>(record.substr(5)));
    if (!in_range(time)) return;
  }
  const size_t frame = begin(is_error, time, {}, out);
  out += record.substr(kCompactHead, record.size() - kCompactOverhead);
  end(frame, out);
}

/// RFC 3339 with nine digits; the calendar part is made once a second.
std::string_view Formatter::stamp(int64_t nano) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t second = nano / kSecond - (nano % kSecond < 0 ? 1 : 0);
  auto rest = static_cast<uint64_t>(nano - second * kSecond);
  if (second != second_ || stamp_.empty()) {
    second_ = second;
    const time_t time = second;
    struct tm parts {};
    ::gmtime_r(&time, &parts);
    char text[64];
    stamp_.assign(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000000000Z", &parts));
  }
  for (size_t i = kDigits; i-- > 0; rest /= 10) stamp_[kSeconds + 1 + i] = static_cast<char>('0' + rest % 10);
  return stamp_;
}

}  // namespace berth::logs
