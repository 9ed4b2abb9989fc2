// The linux object, but for its resources.
#include <string_view>

#include "oci/parse_parts.h"

namespace berth::oci {

namespace {

struct NamespaceName {
  const char* name;
  NamespaceType type;
};
constexpr NamespaceName kNamespaces[] = {
    {"pid", NamespaceType::pid},   {"network", NamespaceType::network}, {"mount", NamespaceType::mount},
    {"ipc", NamespaceType::ipc},   {"uts", NamespaceType::uts},         {"user", NamespaceType::user},
    {"cgroup", NamespaceType::cgroup}, {"time", NamespaceType::time},
};

void read_namespace(ObjectReader& in, Namespace& out) {
  std::string type;
  in.read("type", type);
  in.read("path", out.path);
  for (const auto& known : kNamespaces)
    if (type == known.name) {
      out.type = known.type;
      if (!out.path.empty() && out.path[0] != '/') in.fail("path", "an absolute path");
      return;
    }
  in.fail("type", "pid, network, mount, ipc, uts, user, cgroup or time, got \"" + type + "\"");
}

void read_device(ObjectReader& in, Device& out) {
  std::string type;
  in.read("path", out.path);
  in.read("type", type);
  in.read("major", out.major);
  in.read("minor", out.minor);
  in.read("fileMode", out.file_mode);
  in.read("uid", out.uid);
  in.read("gid", out.gid);
  if (out.path.empty() || out.path[0] != '/') in.fail("path", "an absolute path");
  if (type == "c" || type == "u")
    out.type = 'c';
  else if (type == "b" || type == "p")
    out.type = type[0];
  else
    in.fail("type", "\"c\", \"b\", \"u\" or \"p\"");
}

void read_arg(ObjectReader& in, SeccompArg& out) {
  in.read("index", out.index);
  in.read("value", out.value);
  in.read("valueTwo", out.value_two);
  in.read("op", out.op);
  if (out.index > 5) in.fail("index", "0 to 5");
}

void read_rule(ObjectReader& in, SeccompSyscall& out) {
  in.read("names", out.names);
  in.read("action", out.action);
  in.read("errnoRet", out.errno_ret);
  in.read_list("args", out.args, read_arg);
  if (out.names.empty()) in.fail("names", "at least one system call");
  if (out.args.size() > 32) in.fail("args", "at most 32 conditions");
}

void read_time_offsets(ObjectReader& in, std::vector<TimeOffset>& out) {
  const Json* json = in.member("timeOffsets");
  if (json == nullptr) return;
  if (!json->is_object()) return in.fail("timeOffsets", "an object");
  for (const auto& [clock, offset] : json->items()) {
    ObjectReader part(offset, in.name("timeOffsets") + "." + clock);
    if (clock != "monotonic" && clock != "boottime") part.fail("", "monotonic or boottime");
    TimeOffset& one = out.emplace_back();
    one.clock = clock;
    part.read("secs", one.secs);
    part.read("nanosecs", one.nanosecs);
    if (in.adopt(part)) return;
  }
}

}  // namespace

void read_id_mapping(ObjectReader& in, IdMapping& out) {
  in.read("containerID", out.container_id);
  in.read("hostID", out.host_id);
  in.read("size", out.size);
}

void read_seccomp(ObjectReader& in, Seccomp& out) {
  in.read("defaultAction", out.default_action);
  in.read("defaultErrnoRet", out.default_errno_ret);
  in.read("architectures", out.architectures);
  in.read("flags", out.flags);
  in.read("listenerPath", out.listener_path);
  in.read("listenerMetadata", out.listener_metadata);
  in.read_list("syscalls", out.syscalls, read_rule);
  if (out.default_action.empty()) in.fail("defaultAction", "an action");
}

void read_linux(ObjectReader& in, Linux& out) {
  in.read_list("uidMappings", out.uid_mappings, read_id_mapping);
  in.read_list("gidMappings", out.gid_mappings, read_id_mapping);
  in.read("sysctl", out.sysctl);
  in.read_object("resources", [&](ObjectReader& part) { read_resources(part, out.resources.emplace()); });
  in.read("cgroupsPath", out.cgroups_path);
  in.read_list("namespaces", out.namespaces, read_namespace);
  in.read_list("devices", out.devices, read_device);
  in.read_object("seccomp", [&](ObjectReader& part) { read_seccomp(part, out.seccomp.emplace()); });
  in.read("rootfsPropagation", out.rootfs_propagation);
  in.read("maskedPaths", out.masked_paths);
  in.read("readonlyPaths", out.readonly_paths);
  in.read("mountLabel", out.mount_label);
  in.read_object("personality", [&](ObjectReader& part) {
    Personality& personality = out.personality.emplace();
    part.read("domain", personality.domain);
    part.read("flags", personality.flags);
  });
  read_time_offsets(in, out.time_offsets);
  in.read_object("memoryPolicy", [&](ObjectReader& part) {
    MemoryPolicy& policy = out.memory_policy.emplace();
    part.read("mode", policy.mode);
    part.read("nodes", policy.nodes);
    part.read("flags", policy.flags);
    if (policy.mode.empty()) part.fail("mode", "a policy");
  });
  in.read_object("intelRdt", [&](ObjectReader& part) {
    IntelRdt& rdt = out.intel_rdt.emplace();
    part.read("closID", rdt.clos_id);
    part.read("l3CacheSchema", rdt.l3_cache_schema);
    part.read("memBwSchema", rdt.mem_bw_schema);
  });
}

}  // namespace berth::oci
