#include "tar/diff.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "tar/diff_output.h"
#include "tar/names.h"
#include "tar/tree_archive.h"

namespace berth::tar {
namespace {

/// Deeper directories could only be made to harm whoever walks them: no path leads there.
constexpr size_t kMaxDepth = 4096;

struct Level {
  UniqueFd fd;
  std::vector<std::string> names;
  size_t next = 0;
};

class UsageWalk {
 public:
  explicit UsageWalk(std::string path) : path_(std::move(path)) {}

  Result<Usage> walk(UniqueFd root) {
    struct stat status {};
    if (::fstat(root.get(), &status) != 0) return sys_error("fstat", path_);
    count(status);
    BERTH_TRY(push(std::move(root)));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.names.size()) {
        levels_.pop_back();
        continue;
      }
      const std::string name = std::move(level.names[level.next++]);
      BERTH_TRY(member(level.fd.get(), name));
    }
    return usage_;
  }

 private:
  void count(const struct stat& status) {
    usage_.bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    usage_.inodes += 1;
    if (!S_ISDIR(status.st_mode)) usage_.file_bytes += static_cast<uint64_t>(status.st_size);
  }

  Result<void> push(UniqueFd fd) {
    BERTH_ASSIGN(auto names, sorted_names(fd.get(), path_));
    levels_.push_back({std::move(fd), std::move(names), 0});
    return {};
  }

  Result<void> member(int directory, const std::string& name) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      // A container may be running on it.
      return errno == ENOENT ? Result<void>{} : Result<void>{sys_error("fstatat", path_ + "/…/" + name)};
    }
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !seen_.insert({status.st_dev, status.st_ino}).second) return {};
    count(status);
    if (!S_ISDIR(status.st_mode) || levels_.size() == kMaxDepth) return {};
    UniqueFd child(::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return {};
    if (!child) return sys_error("openat", path_ + "/…/" + name);
    return push(std::move(child));
  }

  std::string path_;
  Usage usage_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::vector<Level> levels_;
};

}  // namespace

Result<DiffResult> diff_layer(const DiffOptions& options, const std::function<Result<void>(std::span<const uint8_t>)>& give) {
  UniqueFd root(::open(options.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", options.upper);
  DiffOutput output(options.gzip, give);
  TarWriter writer(output);
  TreeOptions tree;
  tree.whiteouts = options.whiteouts;
  tree.live = options.live;
  tree.faithful = options.faithful;
  tree.all_xattrs = true;
  tree.sparse = true;
  tree.lower = options.lower;
  tree.ignored = options.ignored;
  TreeArchiver archiver(tree, writer);
  BERTH_TRY(archiver.directory(std::move(root), "", options.faithful));
  BERTH_TRY(writer.finish());
  return output.finish();
}

Result<Usage> disk_usage(const std::string& path) {
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", path);
  return UsageWalk(path).walk(std::move(root));
}

}  // namespace berth::tar
