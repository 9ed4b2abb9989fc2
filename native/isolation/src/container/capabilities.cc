#include "container/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>

namespace berth::container {

namespace {

/// By number, capabilities(7).
constexpr const char* kNames[] = {
    "CHOWN",          "DAC_OVERRIDE",   "DAC_READ_SEARCH", "FOWNER",          "FSETID",           "KILL",
    "SETGID",         "SETUID",         "SETPCAP",         "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_ADMIN",      "NET_RAW",        "IPC_LOCK",        "IPC_OWNER",       "SYS_MODULE",       "SYS_RAWIO",
    "SYS_CHROOT",     "SYS_PTRACE",     "SYS_PACCT",       "SYS_ADMIN",       "SYS_BOOT",         "SYS_NICE",
    "SYS_RESOURCE",   "SYS_TIME",       "SYS_TTY_CONFIG",  "MKNOD",           "LEASE",            "AUDIT_WRITE",
    "AUDIT_CONTROL",  "SETFCAP",        "MAC_OVERRIDE",    "MAC_ADMIN",       "SYSLOG",           "WAKE_ALARM",
    "BLOCK_SUSPEND",  "AUDIT_READ",     "PERFMON",         "BPF",             "CHECKPOINT_RESTORE",
};
constexpr unsigned kCount = sizeof kNames / sizeof kNames[0];

/// The set that the names make up. A name that no kernel knows is an error, as the runtime-spec demands.
Result<uint64_t> bits(const std::vector<std::string>& names) {
  uint64_t set = 0;
  for (const auto& name : names) {
    std::string upper;
    for (const char c : name) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (upper.starts_with("CAP_")) upper.erase(0, 4);
    uint64_t bit = 0;
    for (unsigned i = 0; i < kCount; ++i)
      if (upper == kNames[i]) bit = uint64_t{1} << i;
    if (bit == 0) return bad_input("process.capabilities", "known capabilities, got " + name);
    set |= bit;
  }
  return set;
}

struct Own {
  uint64_t permitted = 0, bounding = 0;
};

Result<Own> own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return sys_error("capget");
  Own own;
  own.permitted = data[0].permitted | (uint64_t{data[1].permitted} << 32);
  for (unsigned i = 0; i < kCount; ++i)
    if (::prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) own.bounding |= uint64_t{1} << i;
  return own;
}

}  // namespace

std::vector<std::string> capability_names() {
  std::vector<std::string> names;
  for (const char* name : kNames) names.push_back(std::string("CAP_") + name);
  return names;
}

Result<CapabilitySets> resolve_capabilities(const std::optional<oci::Capabilities>& wanted) {
  CapabilitySets sets;
  if (!wanted) return sets;
  BERTH_ASSIGN(const Own own, own_capabilities());
  BERTH_ASSIGN(sets.bounding, bits(wanted->bounding));
  BERTH_ASSIGN(sets.permitted, bits(wanted->permitted));
  BERTH_ASSIGN(sets.effective, bits(wanted->effective));
  BERTH_ASSIGN(sets.inheritable, bits(wanted->inheritable));
  BERTH_ASSIGN(sets.ambient, bits(wanted->ambient));
  sets.bounding &= own.bounding;
  sets.permitted &= own.permitted;
  sets.effective &= sets.permitted;
  sets.inheritable &= own.permitted & own.bounding;
  // The kernel raises an ambient capability only if it is permitted and inheritable.
  sets.ambient &= sets.permitted & sets.inheritable;
  return sets;
}

Result<CapabilitySets> all_capabilities() {
  BERTH_ASSIGN(const Own own, own_capabilities());
  return CapabilitySets{own.bounding, own.permitted, 0, own.permitted, 0};
}

Result<void> drop_bounding(const CapabilitySets& sets) {
  for (unsigned i = 0;; ++i) {
    if (i < kCount && (sets.bounding >> i & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // past the kernel's last one
    if (errno == EPERM && ::prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0) continue;
    return sys_error("prctl", "PR_CAPBSET_DROP");
  }
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return sys_error("prctl", "PR_SET_KEEPCAPS");
  return {};
}

Result<void> set_capabilities(const CapabilitySets& sets) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (unsigned half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(sets.effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(sets.permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(sets.inheritable >> (32 * half));
  }
  if (::syscall(SYS_capset, &header, data) != 0) return sys_error("capset");
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return sys_error("prctl", "PR_CAP_AMBIENT");
  for (unsigned i = 0; i < kCount; ++i)
    if ((sets.ambient >> i & 1) != 0 && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
      return sys_error("prctl", "PR_CAP_AMBIENT_RAISE");
  return {};
}

}  // namespace berth::container
