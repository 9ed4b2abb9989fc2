// Hard links to files that only the layers below have.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "tar/apply.h"
#include "tar/beneath.h"
#include "tar/copy_node.h"
#include "tar/lower.h"

namespace berth::tar {
namespace {

/// As Spot, with the directory kept open.
struct Place {
  UniqueFd directory;
  std::string name;
  std::string path;

  [[nodiscard]] Spot spot() const { return {directory.get(), name, path}; }
};

/// Puts back a directory's times, which making something in it changes: they are a member's, or the ones of the layer below.
class KeepTimes {
 public:
  explicit KeepTimes(int directory) : directory_(directory), known_(::fstat(directory, &status_) == 0) {}
  ~KeepTimes() {
    const struct timespec times[2] = {status_.st_atim, status_.st_mtim};
    // Best effort: no content depends on it.
    if (known_) static_cast<void>(::futimens(directory_, times));
  }
  KeepTimes(const KeepTimes&) = delete;
  KeepTimes& operator=(const KeepTimes&) = delete;

 private:
  int directory_;
  struct stat status_ {};
  bool known_;
};

bool exists(const Place& spot) {
  struct stat status {};
  return ::fstatat(spot.directory.get(), spot.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

class Linker {
 public:
  Linker(int root, const std::vector<UniqueFd>& layers, const DeferredLinks& links, uint64_t max_bytes)
      : root_(root), layers_(layers), links_(links), max_bytes_(max_bytes) {}

  Result<void> link(const std::string& path, const std::string& target) {
    const Split split = split_path(path);
    auto parent = open_beneath(root_, std::string(split.parent), O_RDONLY | O_DIRECTORY);
    if (!parent.ok() && (parent.error().code == ENOENT || parent.error().code == ENOTDIR)) return {};
    if (!parent.ok()) return parent.error();
    const Place place{std::move(parent).value(), std::string(split.name), path};
    if (exists(place)) return {};
    const KeepTimes keep(place.directory.get());
    const auto made = made_.find(target);
    if (made != made_.end()) return link_to(made->second, place);
    struct stat status {};
    Place from;
    BERTH_TRY(find(target, from, status));
    BERTH_ASSIGN(const bool same_place, copy_to_same_place(target, from, status));
    if (same_place) {
      made_[target] = target;
      return link_to(target, place);
    }
    made_[target] = path;
    return copy(from, place, status);
  }

  CopiedUp result() { return {{implied_.begin(), implied_.end()}, bytes_}; }

 private:
  Result<void> link_to(const std::string& own, const Place& place) {
    const Split split = split_path(own);
    BERTH_ASSIGN(const UniqueFd parent, open_beneath(root_, std::string(split.parent), O_PATH | O_DIRECTORY));
    const std::string name(split.name);
    if (::linkat(parent.get(), name.c_str(), place.directory.get(), place.name.c_str(), 0) != 0) return sys_error("linkat", place.path);
    return {};
  }

  /// The topmost layer below that has it.
  Result<void> find(const std::string& target, Place& from, struct stat& status) {
    const Split split = split_path(target);
    const std::string name(split.name);
    for (const UniqueFd& layer : layers_) {
      UniqueFd directory;
      BERTH_ASSIGN(const Found found, walk(layer.get(), std::string(split.parent), directory));
      if (found == Found::kHidden) break;
      if (found == Found::kNothing) continue;
      if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) return sys_error("fstatat", target);
        if (found == Found::kOpaque) break;
        continue;
      }
      if (S_ISCHR(status.st_mode) && status.st_rdev == 0) break;  // a whiteout
      if (S_ISDIR(status.st_mode)) return Error{EBADMSG, "tar", target, "a hard link to a directory"};
      from = Place{std::move(directory), name, target};
      return {};
    }
    return Error{EBADMSG, "tar", target, "a hard link to a file that neither this layer nor one below has"};
  }

  /// False when this layer itself says something else about the target, or will.
  Result<bool> copy_to_same_place(const std::string& target, const Place& from, const struct stat& status) {
    if (links_.contains(target)) return false;
    const Split split = split_path(target);
    const std::string parent(split.parent);
    UniqueFd directory;
    BERTH_ASSIGN(Found found, walk(root_, parent, directory));
    if (found == Found::kNothing) {
      BERTH_TRY(make_directories(parent));
      BERTH_ASSIGN(found, walk(root_, parent, directory));
    }
    if (found != Found::kDirectory) return false;
    const Place to{std::move(directory), std::string(split.name), target};
    if (exists(to)) return false;
    const KeepTimes keep(to.directory.get());
    BERTH_TRY(copy(from, to, status));
    return true;
  }

  Result<void> make_directories(const std::string& path) {
    for (size_t end = 0; end != std::string::npos;) {
      end = path.find('/', end == 0 ? 0 : end + 1);
      const std::string prefix = path.substr(0, end);
      const Split split = split_path(prefix);
      UniqueFd parent;
      BERTH_ASSIGN(const Found found, walk(root_, std::string(split.parent), parent));
      if (found != Found::kDirectory) return Error{ENOTDIR, "tar", prefix, "not a directory"};
      const KeepTimes keep(parent.get());
      if (::mkdirat(parent.get(), std::string(split.name).c_str(), 0755) == 0) {
        implied_.insert(prefix);
      } else if (errno != EEXIST) {
        return sys_error("mkdirat", prefix);
      }
    }
    return {};
  }

  Result<void> copy(const Place& from, const Place& to, const struct stat& status) {
    if (!S_ISREG(status.st_mode)) return copy_node(from.spot(), to.spot(), status);
    bytes_ += static_cast<uint64_t>(status.st_size);
    if (max_bytes_ != 0 && bytes_ > max_bytes_) {
      return Error{EFBIG, "tar", to.path, "hard links copy more than " + std::to_string(max_bytes_) + " bytes from the layers below"};
    }
    return copy_file(from.spot(), to.spot(), status);
  }

  int root_;
  const std::vector<UniqueFd>& layers_;
  const DeferredLinks& links_;
  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  std::set<std::string> implied_;
  std::map<std::string, std::string> made_;  // target to where its copy lies
};

}  // namespace

Result<CopiedUp> copy_up_links(const std::string& target, const std::vector<std::string>& lower, const DeferredLinks& links,
                               uint64_t max_bytes) {
  const UniqueFd root(::open(target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return sys_error("open", target);
  std::vector<UniqueFd> layers;
  for (const std::string& layer : lower) {
    layers.emplace_back(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!layers.back()) return sys_error("open", layer);
  }
  Linker linker(root.get(), layers, links, max_bytes);
  for (const auto& [path, own] : links) BERTH_TRY(linker.link(path, own));
  return linker.result();
}

}  // namespace berth::tar
