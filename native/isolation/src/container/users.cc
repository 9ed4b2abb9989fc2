#include "container/users.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "container/paths.h"

namespace berth::container {

namespace {

constexpr size_t kMaxFile = 16u << 20;
constexpr uint64_t kMaxId = 2147483647;  // what Docker takes

/// The text of a regular file inside the container; empty if it can't be had.
std::string read_inside(int root, const char* path) {
  // O_NONBLOCK: an image may hold a FIFO here.
  const auto fd = open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat info;
  if (!fd || ::fstat(fd.value().get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  auto text = read_fd(fd.value().get(), path, kMaxFile);
  return text ? std::move(*text) : std::string();
}

std::optional<uint64_t> number(std::string_view text) {
  // Docker reads a number with a sign as one too, and then finds it out of range.
  if (text.size() > 1 && text[0] == '-' && number(text.substr(1))) return kMaxId + 1;
  // 18 digits fit; Docker takes one that does not for a name as well.
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

std::string_view field(std::string_view line, unsigned index) {
  for (; index > 0; --index) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    line.remove_prefix(colon + 1);
  }
  return line.substr(0, line.find(':'));
}

/// Calls `one` with each line until it says stop.
template <typename One>
void each_line(std::string_view text, One one) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (!line.empty() && line[0] != '#' && !one(line)) return;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool lists_member(std::string_view members, std::string_view user) {
  while (!members.empty()) {
    const size_t end = std::min(members.find(','), members.size());
    if (members.substr(0, end) == user) return true;
    members.remove_prefix(std::min(end + 1, members.size()));
  }
  return false;
}

Error lookup_error(std::string text) { return Error{EINVAL, "", "", std::move(text)}; }

Result<uint32_t> in_range(uint64_t id) {
  if (id > kMaxId) return lookup_error("uids and gids must be in range 0-2147483647");
  return static_cast<uint32_t>(id);
}

/// Fills uid, gid and home from passwd; gives the entry's name, empty if there is none.
Result<std::string> find_user(const std::string& passwd, const std::string& user, Identity& out) {
  const auto uid = number(user);
  bool found = false;
  std::string name;
  each_line(passwd, [&](std::string_view line) {
    const auto line_uid = number(field(line, 2));
    if (!line_uid || !(field(line, 0) == user || (uid && *line_uid == *uid))) return true;
    found = true;
    name = field(line, 0);
    out.uid = static_cast<uid_t>(*line_uid);
    out.gid = static_cast<gid_t>(number(field(line, 3)).value_or(0));
    out.home = field(line, 5);
    return false;
  });
  if (found) return name;
  if (!uid) return lookup_error("unable to find user " + user + ": no matching entries in passwd file");
  BERTH_ASSIGN(out.uid, in_range(*uid));
  out.gid = 0;
  return name;
}

Result<void> find_group(const std::string& groups, const std::string& wanted, Identity& out) {
  const auto gid = number(wanted);
  bool found = false;
  each_line(groups, [&](std::string_view line) {
    const auto line_gid = number(field(line, 2));
    if (!line_gid || !(field(line, 0) == wanted || (gid && *line_gid == *gid))) return true;
    found = true;
    out.gid = static_cast<gid_t>(*line_gid);
    return false;
  });
  if (found) return {};
  if (!gid) return lookup_error("unable to find group " + wanted + ": no matching entries in group file");
  BERTH_ASSIGN(out.gid, in_range(*gid));
  return {};
}

void find_memberships(const std::string& groups, const std::string& name, Identity& out) {
  each_line(groups, [&](std::string_view line) {
    const auto gid = number(field(line, 2));
    if (gid && lists_member(field(line, 3), name)) out.groups.push_back(static_cast<gid_t>(*gid));
    return out.groups.size() < 65536;  // NGROUPS_MAX
  });
}

void find_home(const std::string& passwd, Identity& out) {
  each_line(passwd, [&](std::string_view line) {
    if (number(field(line, 2)) != std::optional<uint64_t>(out.uid)) return true;
    out.home = field(line, 5);
    return false;
  });
}

}  // namespace

Result<Identity> resolve_identity_in(const std::string& passwd, const std::string& group, const Wanted& wanted,
                                     const oci::User& process_user) {
  const std::string& user = wanted.user;
  Identity out;
  if (user.empty()) {
    out.uid = process_user.uid;
    out.gid = process_user.gid;
    find_home(passwd, out);
  } else {
    const size_t colon = user.find(':');
    std::string name = user.substr(0, colon);
    const std::string wanted_group = colon == std::string::npos ? "" : user.substr(colon + 1);
    if (name.empty()) name = "0";
    BERTH_ASSIGN(const std::string entry, find_user(passwd, name, out));
    if (!wanted_group.empty())
      BERTH_TRY(find_group(group, wanted_group, out));
    else if (!entry.empty())
      find_memberships(group, entry, out);
  }
  const auto add = [&](uint32_t gid) {
    if (std::find(out.groups.begin(), out.groups.end(), gid) == out.groups.end()) out.groups.push_back(gid);
  };
  // A user is in the own primary group too: files that deny it must not be open to whoever changes group.
  if (!user.empty()) add(out.gid);
  for (const std::string& name : wanted.groups) {
    Identity found;
    BERTH_TRY(find_group(group, name, found));
    add(found.gid);
  }
  for (const uint32_t gid : process_user.additional_gids) add(gid);
  if (out.home.empty()) out.home = "/";
  return out;
}

Result<Identity> resolve_identity(int root, const Wanted& wanted, const oci::User& process_user) {
  const std::string passwd = read_inside(root, "/etc/passwd");
  const bool asks = !wanted.user.empty() || !wanted.groups.empty();
  const std::string group = asks ? read_inside(root, "/etc/group") : std::string();
  return resolve_identity_in(passwd, group, wanted, process_user);
}

}  // namespace berth::container
