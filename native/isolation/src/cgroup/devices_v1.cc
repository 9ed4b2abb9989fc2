#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "cgroup/devices.h"

namespace berth::cgroup {
namespace {

std::string number(int64_t value) { return value < 0 ? "*" : std::to_string(value); }

std::string line_of(const DeviceException& e) {
  std::string text{e.type, ' '};
  text += number(e.major) + ":" + number(e.minor) + " ";
  if (e.access & kDeviceRead) text += 'r';
  if (e.access & kDeviceWrite) text += 'w';
  if (e.access & kDeviceMknod) text += 'm';
  return text;
}

/// devices.list: "a *:* rwm" (all; the exceptions to that are not shown) or what is allowed, a line each.
DevicePolicy parse_list(std::string_view text) {
  DevicePolicy policy;
  for (const auto line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3) continue;
    if (words[0] == "a") return DevicePolicy{true, {}};
    const auto numbers = split(words[1], ':');
    if (numbers.size() != 2) continue;
    DeviceException e{true, words[0][0], -1, -1, 0};
    if (numbers[0] != "*") e.major = static_cast<int64_t>(to_number(numbers[0], 0));
    if (numbers[1] != "*") e.minor = static_cast<int64_t>(to_number(numbers[1], 0));
    for (const char c : words[2]) {
      if (c == 'r') e.access |= kDeviceRead;
      if (c == 'w') e.access |= kDeviceWrite;
      if (c == 'm') e.access |= kDeviceMknod;
    }
    policy.exceptions.push_back(e);
  }
  return policy;
}

/// Many writes through one open file.
class RuleFile {
 public:
  static Result<RuleFile> open(const Directory& group, const char* name) {
    BERTH_ASSIGN(UniqueFd fd, group.open_file(name, O_WRONLY));
    return RuleFile(std::move(fd), group.path() + "/" + name);
  }
  Result<void> write(const std::string& line) {
    if (::write(fd_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return {};
    const int code = errno;
    return Error{code, "write", path_, "\"" + line + "\": " + std::strerror(code)};
  }

 private:
  RuleFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

/// The access that `list` gives for exactly these devices.
uint32_t access_in(const std::vector<DeviceException>& list, const DeviceException& devices) {
  uint32_t access = 0;
  for (const auto& e : list)
    if (e.type == devices.type && e.major == devices.major && e.minor == devices.minor) access |= e.access;
  return access;
}

/// Writes the parts of `from` that `without` lacks.
Result<void> write_difference(RuleFile& file, const std::vector<DeviceException>& from,
                              const std::vector<DeviceException>& without) {
  for (DeviceException e : from) {
    e.access &= ~access_in(without, e);
    if (e.access != 0) BERTH_TRY(file.write(line_of(e)));
  }
  return {};
}

}  // namespace

Result<void> v1_devices(const Directory& group, const DevicePolicy& policy) {
  BERTH_ASSIGN(const std::string text, group.read("devices.list"));
  DevicePolicy current = parse_list(text);
  BERTH_ASSIGN(RuleFile allow, RuleFile::open(group, "devices.allow"));
  BERTH_ASSIGN(RuleFile deny, RuleFile::open(group, "devices.deny"));
  if (policy.default_allow) {
    // "a" clears exceptions too, which the list does not show.
    BERTH_TRY(allow.write("a"));
    return write_difference(deny, policy.exceptions, {});
  }
  if (current.default_allow) {
    BERTH_TRY(deny.write("a"));
    current = {};
  }
  BERTH_TRY(write_difference(allow, policy.exceptions, current.exceptions));
  return write_difference(deny, current.exceptions, policy.exceptions);
}

}  // namespace berth::cgroup
