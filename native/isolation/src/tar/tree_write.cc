#include "tar/tree_write.h"

#include <memory>

#include "tar/inflate.h"
#include "tar/reader.h"

namespace berth::tar {
namespace {

class InflatedInput final : public ByteInput {
 public:
  explicit InflatedInput(Source& source) : inflate_(source, false), block_(new uint8_t[kBytes]) {}
  Result<std::span<const uint8_t>> next() override { return inflate_.next({block_.get(), kBytes}); }

 private:
  static constexpr size_t kBytes = 256 * 1024;
  Inflate inflate_;
  std::unique_ptr<uint8_t[]> block_;
};

}  // namespace

Result<void> write_tree(int root, Source& source, const TreeWriteOptions& options) {
  InflatedInput input(source);
  Reader reader(input);
  TreeWriter writer(root, options);
  for (;;) {
    BERTH_ASSIGN(const auto entry, reader.next());
    if (!entry) return writer.finish();
    BERTH_TRY(writer.add(*entry, reader));
  }
}

}  // namespace berth::tar
