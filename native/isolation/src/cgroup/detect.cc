#include "cgroup/detect.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "cgroup/files.h"

namespace berth::cgroup {
namespace {

/// v1 controllers as the kernel names them in the super options. Other words there ("rw", "xattr", "clone_children") are
/// mount flags.
constexpr std::array<std::string_view, 13> kControllers = {"cpu",    "cpuacct", "cpuset",  "memory",   "devices",
                                                           "freezer", "blkio",   "pids",    "hugetlb", "net_cls",
                                                           "net_prio", "rdma",   "perf_event"};

/// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '3') {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct MountLine {
  std::string_view device, mount_point, type, super_options;
};

/// id parent major:minor root mount-point options [optional...] - type source super-options
bool parse_line(std::string_view line, MountLine& out) {
  const size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return false;
  const auto head = split(line.substr(0, dash), ' ');
  const auto tail = split(line.substr(dash + 3), ' ');
  if (head.size() < 6 || tail.size() < 3) return false;
  out = {head[2], head[4], tail[0], tail[2]};
  return true;
}

std::vector<std::string> v1_controllers(std::string_view super_options) {
  std::vector<std::string> found;
  for (const auto word : split(super_options, ',')) {
    const bool named = word.starts_with("name=");
    if (named || std::find(kControllers.begin(), kControllers.end(), word) != kControllers.end())
      found.emplace_back(word);
  }
  return found;
}

bool is_usual_place(std::string_view mount_point) { return mount_point.starts_with("/sys/fs/cgroup"); }

}  // namespace

Layout parse_layout(std::string_view mountinfo) {
  Layout layout;
  std::vector<std::string> devices;  // of layout.hierarchies, by index
  for (const auto text : split(mountinfo, '\n')) {
    MountLine line;
    // Most lines are other file systems: a cheap look first, as hosts can have thousands of mounts.
    if (text.find(" - cgroup") == std::string_view::npos || !parse_line(text, line)) continue;
    const bool unified = line.type == "cgroup2";
    if (!unified && line.type != "cgroup") continue;
    Hierarchy found{unescape(line.mount_point), {}, unified};
    if (!unified) {
      found.controllers = v1_controllers(line.super_options);
      if (found.controllers.empty()) continue;
    }
    const auto known = std::find(devices.begin(), devices.end(), line.device);
    if (known == devices.end()) {
      devices.emplace_back(line.device);
      layout.hierarchies.push_back(std::move(found));
      continue;
    }
    auto& earlier = layout.hierarchies[static_cast<size_t>(known - devices.begin())];
    if (!is_usual_place(earlier.mount_point) && is_usual_place(found.mount_point)) earlier = std::move(found);
  }
  std::stable_partition(layout.hierarchies.begin(), layout.hierarchies.end(),
                        [](const Hierarchy& h) { return !h.unified; });
  bool v1 = false, v2 = false;
  for (const auto& hierarchy : layout.hierarchies) {
    if (hierarchy.unified) v2 = true;
    // A named hierarchy alone limits nothing; beside cgroup2 the host is a v2 one.
    else if (!hierarchy.controllers.front().starts_with("name=")) v1 = true;
  }
  layout.mode = v1 ? (v2 ? Mode::hybrid : Mode::v1) : (v2 ? Mode::v2 : Mode::none);
  return layout;
}

Result<Layout> detect_layout() {
  BERTH_ASSIGN(const std::string text, read_path("/proc/self/mountinfo"));
  return parse_layout(text);
}

Mode detect_mode() {
  auto layout = detect_layout();
  return layout.ok() ? layout->mode : Mode::none;
}

}  // namespace berth::cgroup
