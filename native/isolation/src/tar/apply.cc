#include "tar/apply.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "tar/block_pipe.h"
#include "tar/inflate.h"
#include "tar/layer_writer.h"
#include "tar/reader.h"

namespace berth::tar {
namespace {

class PipeInput final : public ByteInput {
 public:
  explicit PipeInput(BlockPipe& pipe) : pipe_(pipe) {}
  Result<std::span<const uint8_t>> next() override { return pipe_.next(); }

 private:
  BlockPipe& pipe_;
};

class MemoryInput final : public ByteInput {
 public:
  explicit MemoryInput(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  Result<std::span<const uint8_t>> next() override {
    // Small pieces, so that everything that may lie across two of them does.
    const size_t count = std::min<size_t>(bytes_.size(), 700);
    const auto piece = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return piece;
  }

 private:
  std::span<const uint8_t> bytes_;
};

Result<void> write_members(ByteInput& input, int root, const ApplyOptions& options, ApplyResult& result) {
  Reader reader(input);
  LayerWriter writer(root, {options.whiteouts, options.max_entries, options.faithful, options.defer_links});
  for (;;) {
    BERTH_ASSIGN(const auto entry, reader.next());
    if (!entry) break;
    BERTH_TRY(writer.add(*entry, reader));
  }
  BERTH_TRY(reader.drain());
  BERTH_TRY(writer.finish());
  result.entries = writer.result().entries;
  result.file_bytes = writer.result().file_bytes;
  result.implied = std::move(writer.result().implied);
  result.links = std::move(writer.result().links);
  return {};
}

/// The producer: inflates and hashes block after block.
void produce(Inflate& inflate, BlockPipe& pipe, const ApplyOptions& options, std::atomic<uint64_t>& bytes_in, ApplyResult& result) {
  Sha256 hash;
  for (;;) {
    const auto room = pipe.room();
    if (!room) return;
    const auto count = inflate.read(*room);
    bytes_in.store(inflate.bytes_in(), std::memory_order_relaxed);
    if (!count.ok()) return pipe.close(count.error());
    if (count.value() == 0) break;
    result.bytes_out += count.value();
    if (options.max_bytes != 0 && result.bytes_out > options.max_bytes) {
      return pipe.close(Error{EFBIG, "tar", "layer", "unpacks to more than " + std::to_string(options.max_bytes) + " bytes"});
    }
    hash.update(room->first(count.value()));
    pipe.commit(count.value());
  }
  result.diff_id = hash.digest();
  result.compressed_digest = inflate.compressed_digest();
  result.bytes_in = inflate.bytes_in();
  pipe.close(std::nullopt);
}

Result<UniqueFd> open_target(const std::string& target) {
  UniqueFd root(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", target);
  return root;
}

}  // namespace

Result<ApplyResult> apply_layer(Source& source, const ApplyOptions& options, std::atomic<uint64_t>& bytes_in) {
  BERTH_ASSIGN(const UniqueFd root, open_target(options.target));
  Inflate inflate(source, options.hash_compressed);
  BlockPipe pipe;
  ApplyResult result;
  Result<void> written;
  std::thread writer([&] {
    // The umask belongs to the process unless the thread leaves the shared one; files get their exact mode from open() then.
    if (::unshare(CLONE_FS) != 0) {
      written = sys_error("unshare", "CLONE_FS");
    } else {
      ::umask(0);
      PipeInput input(pipe);
      ApplyResult members;
      written = write_members(input, root.get(), options, members);
      result.entries = members.entries;
      result.file_bytes = members.file_bytes;
      result.implied = std::move(members.implied);
      result.links = std::move(members.links);
    }
    pipe.stop();
    // A source that is waiting for bytes must learn that nobody wants them any more.
    if (!written.ok()) source.abort();
  });
  produce(inflate, pipe, options, bytes_in, result);
  writer.join();
  if (!written.ok()) return written.error();
  if (options.sync && ::syncfs(root.get()) != 0) return sys_error("syncfs", options.target);
  return result;
}

Result<void> apply_bytes(std::span<const uint8_t> archive, const ApplyOptions& options) {
  BERTH_ASSIGN(const UniqueFd root, open_target(options.target));
  MemoryInput input(archive);
  ApplyResult result;
  return write_members(input, root.get(), options, result);
}

}  // namespace berth::tar
