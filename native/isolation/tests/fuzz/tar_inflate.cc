// Any bytes as a compressed layer: the inflater ends, within its input, with an error or with output.
#include <algorithm>
#include <cstring>
#include <vector>

#include "tar/inflate.h"

namespace {

class MemorySource final : public berth::tar::Source {
 public:
  explicit MemorySource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  berth::Result<size_t> read(std::span<uint8_t> into) override {
    const size_t count = std::min({into.size(), bytes_.size(), size_t{97}});  // headers and trailers lie across reads
    std::memcpy(into.data(), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return count;
  }
  void abort() override {}

 private:
  std::span<const uint8_t> bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource source({data, size});
  berth::tar::Inflate inflate(source, true);
  std::vector<uint8_t> out(64 * 1024);
  for (int blocks = 0; blocks < 256; ++blocks) {  // a bomb is the caller's to bound
    const auto count = inflate.read(out);
    if (!count.ok() || count.value() < out.size()) break;
  }
  return 0;
}
