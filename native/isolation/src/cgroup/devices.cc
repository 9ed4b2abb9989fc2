#include "cgroup/devices.h"

#include <algorithm>

#include "cgroup/group.h"

namespace berth::cgroup {
namespace {

constexpr size_t kMaxRules = 1024;
/// Device numbers have 12 and 20 bits.
constexpr int64_t kMaxMajor = 0xfff, kMaxMinor = 0xfffff;

constexpr DeviceException kAlways[] = {
    // Making a node gives no access to its device.
    {true, 'c', -1, -1, kDeviceMknod},
    {true, 'b', -1, -1, kDeviceMknod},
    {true, 'c', 1, 3, kDeviceAll},     // null
    {true, 'c', 1, 5, kDeviceAll},     // zero
    {true, 'c', 1, 7, kDeviceAll},     // full
    {true, 'c', 1, 8, kDeviceAll},     // random
    {true, 'c', 1, 9, kDeviceAll},     // urandom
    {true, 'c', 5, 0, kDeviceAll},     // tty
    {true, 'c', 5, 2, kDeviceAll},     // ptmx
    {true, 'c', 136, -1, kDeviceAll},  // ptys
};

Result<uint32_t> parse_access(const std::string& text) {
  uint32_t access = 0;
  for (const char c : text) {
    if (c == 'r') access |= kDeviceRead;
    else if (c == 'w') access |= kDeviceWrite;
    else if (c == 'm') access |= kDeviceMknod;
    else return bad_input("linux.resources.devices.access", "letters of \"rwm\", not \"" + text + "\"");
  }
  return access == 0 ? static_cast<uint32_t>(kDeviceAll) : access;
}

bool same_devices(const DeviceException& a, const DeviceException& b) {
  return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

/// All devices of `inner` are among those of `outer`.
bool covers(const DeviceException& outer, const DeviceException& inner) {
  return outer.type == inner.type && (outer.major < 0 || outer.major == inner.major) &&
         (outer.minor < 0 || outer.minor == inner.minor);
}

bool overlap(const DeviceException& a, const DeviceException& b) {
  return a.type == b.type && (a.major < 0 || b.major < 0 || a.major == b.major) &&
         (a.minor < 0 || b.minor < 0 || a.minor == b.minor);
}

/// A rule that goes against the default: an exception of its own, or more access for one that is there and is not
/// followed by one that takes something away.
void except(DevicePolicy& policy, const DeviceException& rule) {
  for (auto it = policy.exceptions.rbegin(); it != policy.exceptions.rend(); ++it) {
    if (it->allow != rule.allow) break;
    if (!same_devices(*it, rule)) continue;
    it->access |= rule.access;
    return;
  }
  policy.exceptions.push_back(rule);
}

/// A rule that goes with the default: takes away from earlier exceptions.
Result<void> restore(DevicePolicy& policy, const DeviceException& rule, bool holes) {
  bool partly = false;
  for (auto& exception : policy.exceptions) {
    if (exception.allow == policy.default_allow || !overlap(exception, rule)) continue;
    if ((exception.access & rule.access) == 0) continue;
    if (covers(rule, exception)) exception.access &= ~rule.access;
    else partly = true;
  }
  std::erase_if(policy.exceptions, [](const DeviceException& e) { return e.access == 0; });
  if (!partly) return {};
  if (!holes)
    return bad_input("linux.resources.devices",
                     "no rule that takes single devices out of an earlier, wider rule: cgroup v1 cannot express that");
  policy.exceptions.push_back(rule);
  return {};
}

Result<void> take(DevicePolicy& policy, const DeviceException& rule, bool holes) {
  if (rule.allow == policy.default_allow) return restore(policy, rule, holes);
  except(policy, rule);
  return {};
}

}  // namespace

Result<DevicePolicy> reduce_devices(const std::vector<oci::DeviceRule>& rules, bool holes) {
  if (rules.size() > kMaxRules) return bad_input("linux.resources.devices", "at most 1024 rules");
  DevicePolicy policy;
  for (const auto& rule : rules) {
    BERTH_ASSIGN(const uint32_t access, parse_access(rule.access));
    DeviceException one{rule.allow, rule.type, rule.major.value_or(-1), rule.minor.value_or(-1), access};
    if (one.major < -1 || one.major > kMaxMajor || one.minor < -1 || one.minor > kMaxMinor)
      return bad_input("linux.resources.devices", "major up to 4095 and minor up to 1048575");
    if (rule.type != 'a') {
      BERTH_TRY(take(policy, one, holes));
    } else if (one.major < 0 && one.minor < 0 && access == kDeviceAll) {
      policy = DevicePolicy{rule.allow, {}};
    } else {
      for (const char type : {'c', 'b'}) {
        one.type = type;
        BERTH_TRY(take(policy, one, holes));
      }
    }
  }
  // Where everything is allowed (privileged) what is denied was denied by name, and stays so.
  if (policy.default_allow) return policy;
  for (const auto& always : kAlways) except(policy, always);
  return policy;
}

Result<void> HostCgroup::apply_devices(const oci::Resources& resources) {
  // Nothing said about devices: a new group gets the default (deny), a running container keeps what it has.
  if (resources.devices.empty() && !fresh_) return {};
  const Directory* old = v1("devices");
  BERTH_ASSIGN(const DevicePolicy policy, reduce_devices(resources.devices, old == nullptr));
  if (old) BERTH_TRY(v1_devices(*old, policy));
  else if (unified()) BERTH_TRY(v2_devices(*unified(), policy));
  else return Error{ENOTSUP, "cgroup", "devices", "this host mounts no devices controller"};
  fresh_ = false;
  return {};
}

}  // namespace berth::cgroup
