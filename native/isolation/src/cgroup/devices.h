// Device access rules: OCI's ordered list reduced to a default and its exceptions, and put into force by v1's device
// controller or by an eBPF program on v2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/files.h"
#include "oci/spec.h"

struct bpf_insn;

namespace berth::cgroup {

/// Bits of the kernel's access masks (BPF_DEVCG_ACC_*).
enum DeviceAccess : uint32_t { kDeviceMknod = 1, kDeviceRead = 2, kDeviceWrite = 4, kDeviceAll = 7 };

struct DeviceException {
  bool allow = false;
  char type = 'c';     // 'c' or 'b'
  int64_t major = -1;  // -1: any
  int64_t minor = -1;
  uint32_t access = kDeviceAll;

  bool operator==(const DeviceException&) const = default;
};

/// What is left of a list of rules: everything is allowed or denied but for the exceptions, of which later ones win.
struct DevicePolicy {
  bool default_allow = false;
  std::vector<DeviceException> exceptions;

  bool operator==(const DevicePolicy&) const = default;
};

/// Reduces OCI's rules (later ones win). Without a rule everything is denied. To a policy that denies the devices that
/// every container has are added: mknod of any (opening is another thing), null, zero, full, random, urandom, tty, ptmx and the ptys.
/// `holes`: a rule may take a part out of an earlier, wider one; v1 cannot do that, so there it is an Error (EINVAL).
Result<DevicePolicy> reduce_devices(const std::vector<oci::DeviceRule>& rules, bool holes);

/// v1: brings devices.list to the policy with as few writes as it takes; what stays allowed is never denied meanwhile
/// unless the default changes.
Result<void> v1_devices(const Directory& group, const DevicePolicy& policy);

/// v2: the program that decides as the policy says.
std::vector<bpf_insn> device_program(const DevicePolicy& policy);
/// Loads and attaches it to the group (BPF_CGROUP_DEVICE), replacing the one attached here before in one step; programs
/// of others (systemd) stay.
Result<void> v2_devices(const Directory& group, const DevicePolicy& policy);

}  // namespace berth::cgroup
