#include "cgroup/group.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "cgroup/tree.h"

namespace berth::cgroup {
namespace {

constexpr size_t kMaxPath = 1024, kMaxComponents = 32, kMaxComponent = 255;

bool has_controller(const std::vector<std::string>& controllers, std::string_view name) {
  return std::find(controllers.begin(), controllers.end(), name) != controllers.end();
}

/// Enables a controller for the groups below one. Not where a group (other than the host's root) holds processes: of some
/// controllers the kernel would refuse it, of others it would make the group threaded, and what is below it useless.
Result<void> pass_on(const Directory& group, std::string_view controller) {
  const std::string value = "+" + std::string(controller);
  if (group.has("cgroup.events")) {
    BERTH_ASSIGN(const std::string processes, group.read("cgroup.procs"));
    if (!trim(processes).empty())
      return Error{EBUSY, "write", group.path() + "/cgroup.subtree_control",
                   "\"" + value + "\": the group holds processes of its own, so it cannot pass controllers on; start the "
                   "engine in a group below it"};
  }
  return group.write("cgroup.subtree_control", value);
}

/// What a v2 container needs at once: limits, and counters for its statistics.
constexpr const char* kUnifiedDefaults[] = {"cpuset", "cpu", "io", "memory", "pids"};

}  // namespace

Result<void> validate_path(const std::string& path) {
  if (path.empty() || path.front() != '/') return bad_input("cgroupsPath", "an absolute path, not \"" + path + "\"");
  if (path.size() > kMaxPath) return bad_input("cgroupsPath", "at most 1024 bytes");
  for (const unsigned char c : path)
    if (c < 0x20 || c == 0x7f) return bad_input("cgroupsPath", "no control characters");
  const auto parts = split(path, '/');
  if (parts.empty()) return bad_input("cgroupsPath", "a group below the root");
  if (parts.size() > kMaxComponents) return bad_input("cgroupsPath", "at most 32 components");
  for (const auto part : parts) {
    if (part == "." || part == "..") return bad_input("cgroupsPath", "no \".\" or \"..\" in \"" + path + "\"");
    if (part.size() > kMaxComponent) return bad_input("cgroupsPath", "components of at most 255 bytes");
  }
  return {};
}

Result<void> HostCgroup::make(const Layout& layout) {
  std::vector<Directory> created;  // with their paths, to take back on failure
  auto make_all = [&]() -> Result<void> {
    for (const auto& hierarchy : layout.hierarchies) {
      BERTH_ASSIGN(const Directory root, Directory::open(hierarchy.mount_point));
      const bool cpuset = !hierarchy.unified && has_controller(hierarchy.controllers, "cpuset");
      BERTH_ASSIGN(Made made, make_group(root, path_, cpuset));
      Member member{std::move(made.dir), hierarchy.mount_point, hierarchy.controllers};
      if (made.created) created.emplace_back(UniqueFd(), member.dir.path());
      if (hierarchy.unified) unified_ = std::move(member);
      else v1_.push_back(std::move(member));
    }
    return {};
  };
  auto result = make_all();
  if (!result.ok()) {
    for (const auto& dir : created) ::rmdir(dir.path().c_str());
    return result;
  }
  fresh_ = !created.empty();
  if (mode_ != Mode::v2) return {};
  for (const char* controller : kUnifiedDefaults) {
    // What the kernel or a parent does not give is missed when a limit that needs it is asked for, not before.
    if (auto enabled = need_unified(controller); !enabled.ok() && enabled.error().code == ENOENT) {
      for (const auto& dir : created) ::rmdir(dir.path().c_str());
      return enabled;
    }
  }
  return {};
}

Result<void> HostCgroup::find(const Layout& layout) {
  for (const auto& hierarchy : layout.hierarchies) {
    auto dir = Directory::open(hierarchy.mount_point + path_);
    if (!dir.ok()) {
      if (dir.error().code == ENOENT) continue;
      return dir.error();
    }
    Member member{std::move(*dir), hierarchy.mount_point, hierarchy.controllers};
    if (hierarchy.unified) unified_ = std::move(member);
    else v1_.push_back(std::move(member));
  }
  if (v1_.empty() && !unified()) return Error{ENOENT, "open", "cgroup " + path_, {}};
  return {};
}

Result<void> HostCgroup::find_below(const Layout& layout, const std::string& below) {
  BERTH_TRY(find(layout));
  bool any = false;
  auto descend = [&](Member& member) -> Result<void> {
    if (!member.dir.valid()) return {};
    auto dir = Directory::open(member.dir.path() + "/" + below);
    if (!dir.ok()) return dir.error().code == ENOENT ? Result<void>() : dir.error();
    any = true;
    member.dir = std::move(*dir);
    return {};
  };
  for (auto& member : v1_) BERTH_TRY(descend(member));
  BERTH_TRY(descend(unified_));
  if (!any) return Error{ENOENT, "open", "cgroup " + path_ + "/" + below, {}};
  return {};
}

const Directory* HostCgroup::v1(std::string_view controller) const {
  for (const auto& member : v1_)
    if (has_controller(member.controllers, controller)) return &member.dir;
  return nullptr;
}

const Member* HostCgroup::representative() const {
  if (unified()) return &unified_;
  return v1_.empty() ? nullptr : &v1_.front();
}

Result<void> HostCgroup::need_unified(std::string_view controller) {
  if (!unified())
    return Error{ENOTSUP, "cgroup", std::string(controller), "this host mounts no such controller"};
  auto offers = [&](const Directory& dir, const char* file) -> Result<bool> {
    BERTH_ASSIGN(const std::string text, dir.read(file));
    for (const auto line : split(text, '\n'))
      for (const auto word : split(line, ' '))
        if (word == controller) return true;
    return false;
  };
  BERTH_ASSIGN(const bool there, offers(unified_.dir, "cgroup.controllers"));
  if (there) return {};
  // From the mount's root down to the parent; the container's own group stays a leaf.
  std::string at = unified_.mount_point;
  auto names = split(path_, '/');
  for (size_t i = 0; i < names.size(); i++) {
    BERTH_ASSIGN(const Directory dir, Directory::open(at));
    BERTH_ASSIGN(const bool available, offers(dir, "cgroup.controllers"));
    if (!available)
      return Error{ENOTSUP, "cgroup", std::string(controller), "controller is not available in " + at};
    BERTH_ASSIGN(const bool passed_on, offers(dir, "cgroup.subtree_control"));
    if (!passed_on) BERTH_TRY(pass_on(dir, controller));
    at += "/" + std::string(names[i]);
  }
  return {};
}

Result<void> HostCgroup::add(pid_t pid) {
  const std::string text = std::to_string(pid);
  if (unified()) {
    BERTH_ASSIGN(const Directory target, joinable_group(unified_.dir));
    BERTH_TRY(target.write("cgroup.procs", text));
  }
  for (const auto& member : v1_) BERTH_TRY(member.dir.write("cgroup.procs", text));
  return {};
}

Result<Entry> HostCgroup::entry() {
  Entry entry;
  if (unified()) {
    // O_PATH is not enough for every kernel that has CLONE_INTO_CGROUP; a plain directory fd is.
    BERTH_ASSIGN(const Directory target, joinable_group(unified_.dir));
    BERTH_ASSIGN(entry.clone_into, target.open_file(".", O_RDONLY | O_DIRECTORY));
    BERTH_ASSIGN(entry.unified_procs, target.open_file("cgroup.procs", O_WRONLY));
  }
  entry.tasks.reserve(v1_.size());
  for (const auto& member : v1_) {
    BERTH_ASSIGN(UniqueFd tasks, member.dir.open_file("tasks", O_WRONLY));
    entry.tasks.push_back(std::move(tasks));
  }
  return entry;
}

int enter(const Entry& entry, bool cloned_into) noexcept {
  // "0" is the writer itself: the kernel then skips the lock that stops every fork on the host.
  for (const auto& tasks : entry.tasks)
    if (::write(tasks.get(), "0", 1) != 1) return errno;
  if (entry.unified_procs && !(cloned_into && entry.clone_into))
    if (::write(entry.unified_procs.get(), "0", 1) != 1) return errno;
  return 0;
}

Result<std::vector<pid_t>> HostCgroup::processes() {
  const Member* member = representative();
  if (!member) return std::vector<pid_t>{};
  return processes_below(member->dir);
}

std::vector<std::pair<std::string, std::string>> HostCgroup::paths() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& member : v1_)
    for (const auto& controller : member.controllers) out.emplace_back(controller, member.dir.path());
  if (unified()) out.emplace_back("", unified_.dir.path());
  return out;
}

Result<std::unique_ptr<Cgroup>> create(const std::string& path) {
  BERTH_TRY(validate_path(path));
  BERTH_ASSIGN(const Layout layout, detect_layout());
  if (layout.mode == Mode::none) return Error{ENOTSUP, "cgroup", path, "no control groups are mounted on this host"};
  auto group = std::make_unique<HostCgroup>(layout.mode, path);
  BERTH_TRY(group->make(layout));
  return std::unique_ptr<Cgroup>(std::move(group));
}

Result<std::unique_ptr<Cgroup>> open(const std::string& path) {
  BERTH_TRY(validate_path(path));
  BERTH_ASSIGN(const Layout layout, detect_layout());
  auto group = std::make_unique<HostCgroup>(layout.mode, path);
  BERTH_TRY(group->find(layout));
  return std::unique_ptr<Cgroup>(std::move(group));
}

Result<std::unique_ptr<Cgroup>> open_below(const std::string& path, const std::string& below) {
  BERTH_TRY(validate_path(path + "/" + below));
  BERTH_ASSIGN(const Layout layout, detect_layout());
  auto group = std::make_unique<HostCgroup>(layout.mode, path);
  BERTH_TRY(group->find_below(layout, below));
  return std::unique_ptr<Cgroup>(std::move(group));
}

}  // namespace berth::cgroup
