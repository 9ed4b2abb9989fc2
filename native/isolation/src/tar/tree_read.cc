#include "tar/tree_read.h"

#include <fcntl.h>

#include "tar/beneath.h"
#include "tar/tree_archive.h"

namespace berth::tar {
namespace {

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

Result<void> read_tree(int root, const std::string& path, const std::function<void(const PathStatus&)>& found, ByteOutput& output) {
  BERTH_ASSIGN(const PathStatus status, stat_path(root, path));
  const TreeOptions options = live_options();
  TarWriter writer(output);
  TreeArchiver archiver(options, writer);
  const bool is_directory = S_ISDIR(status.status.st_mode);
  const std::string name = last_name(path);
  BERTH_ASSIGN(UniqueFd directory, open_for_listing(root, is_directory ? path : path.substr(0, path.rfind('/') + 1)));
  found(status);
  BERTH_TRY(is_directory ? archiver.directory(std::move(directory), name + "/", true) : archiver.node(std::move(directory), name));
  return writer.finish();
}

Result<void> export_tree(int root, ByteOutput& output) {
  const TreeOptions options = live_options();
  TarWriter writer(output);
  TreeArchiver archiver(options, writer);
  BERTH_ASSIGN(UniqueFd directory, open_for_listing(root, "/"));
  BERTH_TRY(archiver.directory(std::move(directory), "", false));
  return writer.finish();
}

}  // namespace berth::tar
