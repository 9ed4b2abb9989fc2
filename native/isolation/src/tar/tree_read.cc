#include "tar/tree_read.h"

#include <fcntl.h>

#include "tar/beneath.h"
#include "tar/tree_archive.h"

namespace berth::tar {
namespace {

/// Collects what the writer gives in blocks of 512 bytes into pieces worth passing on.
class Pieces final : public ByteOutput {
 public:
  explicit Pieces(const GiveBytes& give) : give_(give) { waiting_.reserve(kPiece); }

  Result<void> write(std::span<const uint8_t> bytes) override {
    while (!bytes.empty()) {
      if (waiting_.empty() && bytes.size() >= kPiece) {
        BERTH_TRY(give_(bytes.first(kPiece)));
        bytes = bytes.subspan(kPiece);
        continue;
      }
      const size_t count = std::min(bytes.size(), kPiece - waiting_.size());
      waiting_.insert(waiting_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      bytes = bytes.subspan(count);
      if (waiting_.size() == kPiece) BERTH_TRY(flush());
    }
    return {};
  }

  Result<void> flush() {
    if (waiting_.empty()) return {};
    BERTH_TRY(give_(waiting_));
    waiting_.clear();
    return {};
  }

 private:
  static constexpr size_t kPiece = 256 * 1024;
  const GiveBytes& give_;
  std::vector<uint8_t> waiting_;
};

TreeOptions live_options() {
  TreeOptions options;
  options.live = true;
  options.skip_kernel = true;
  return options;
}

std::string last_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Result<UniqueFd> open_for_listing(int root, const std::string& path) { return open_beneath(root, path, O_RDONLY | O_DIRECTORY); }

}  // namespace

Result<void> read_tree(int root, const std::string& path, const std::function<void(const PathStatus&)>& found, const GiveBytes& give) {
  BERTH_ASSIGN(const PathStatus status, stat_path(root, path));
  const TreeOptions options = live_options();
  Pieces pieces(give);
  TarWriter writer(pieces);
  TreeArchiver archiver(options, writer);
  const bool is_directory = S_ISDIR(status.status.st_mode);
  const std::string name = last_name(path);
  BERTH_ASSIGN(UniqueFd directory, open_for_listing(root, is_directory ? path : path.substr(0, path.rfind('/') + 1)));
  found(status);
  BERTH_TRY(is_directory ? archiver.directory(std::move(directory), name + "/", true) : archiver.node(std::move(directory), name));
  BERTH_TRY(writer.finish());
  return pieces.flush();
}

Result<void> export_tree(int root, const GiveBytes& give) {
  const TreeOptions options = live_options();
  Pieces pieces(give);
  TarWriter writer(pieces);
  TreeArchiver archiver(options, writer);
  BERTH_ASSIGN(UniqueFd directory, open_for_listing(root, "/"));
  BERTH_TRY(archiver.directory(std::move(directory), "", false));
  BERTH_TRY(writer.finish());
  return pieces.flush();
}

}  // namespace berth::tar
