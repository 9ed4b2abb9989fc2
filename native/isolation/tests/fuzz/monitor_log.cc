// The log encoder: whatever the bytes and however they are cut, the records are JSON lines, and joined they are the input
// (with U+FFFD for what is not UTF-8).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "monitor/log_encoder.h"
#include "oci/json.h"

namespace {

class Collector final : public berth::monitor::RecordSink {
 public:
  char* reserve() override {
    buffer_.assign(berth::monitor::kMaxLogRecord, '\0');
    return buffer_.data();
  }
  void commit(size_t size) override {
    if (size > berth::monitor::kMaxLogRecord || buffer_[size - 1] != '\n') std::abort();
    records.emplace_back(buffer_.data(), size);
  }
  std::vector<std::string> records;

 private:
  std::string buffer_;
};

std::string joined(const std::vector<std::string>& records) {
  std::string text;
  for (const auto& record : records) {
    const auto json = berth::oci::parse_json(record);
    if (!json.ok()) std::abort();
    text += json.value()["log"].get<std::string>();
  }
  return text;
}

bool ascii(const uint8_t* data, size_t size) {
  return std::all_of(data, data + size, [](uint8_t c) { return c < 0x80; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  // The first two bytes say how the rest is cut and how often it is repeated: only long lines are split.
  const size_t step = 1 + data[0] * 97u;
  const size_t repeat = 1 + data[1] % 64u * (size < 4096 ? 16u : 1u);
  data += 2;
  size -= 2;
  std::string input;
  for (size_t i = 0; i < repeat && input.size() < (256u << 10); i++)
    input.append(reinterpret_cast<const char*>(data), size);

  Collector whole, cut;
  berth::monitor::LineEncoder first("stdout", &whole), second("stdout", &cut);
  first.append(input.data(), input.size(), 1000000001);
  first.finish(1000000001);
  for (size_t at = 0; at < input.size(); at += step)
    second.append(input.data() + at, std::min(step, input.size() - at), 1000000001);
  second.finish(1000000001);
  if (whole.records != cut.records) std::abort();
  const std::string text = joined(whole.records);
  if (ascii(data, size) && text != input) std::abort();
  if (text.size() < input.size()) std::abort();  // U+FFFD is longer than what it stands for
  return 0;
}
