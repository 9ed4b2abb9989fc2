// spec: a config.json to start from; features: what this runtime can do (runtime-spec, features.md).
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/version.h"
#include "cli/commands.h"
#include "container/capabilities.h"
#include "container/mount_options.h"
#include "container/seccomp.h"
#include "oci/json.h"

namespace berth::cli {

namespace {

using Ordered = nlohmann::ordered_json;

Ordered mount(const char* destination, const char* type, const char* source, std::vector<std::string> options) {
  return {{"destination", destination}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

Ordered mounts(bool rootless) {
  Ordered all = Ordered::array();
  all.push_back(mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  all.push_back(mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  std::vector<std::string> pts = {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"};
  if (!rootless) pts.emplace_back("gid=5");
  all.push_back(mount("/dev/pts", "devpts", "devpts", pts));
  all.push_back(mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}));
  all.push_back(mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  all.push_back(rootless ? mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"})
                         : mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  all.push_back(mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  return all;
}

Ordered default_spec(bool rootless) {
  const std::vector<std::string> capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  Ordered spec;
  spec["ociVersion"] = "1.2.0";
  spec["process"] = {
      {"terminal", true},
      {"user", {{"uid", 0}, {"gid", 0}}},
      {"args", {"sh"}},
      {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
      {"cwd", "/"},
      {"capabilities", {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
      {"rlimits", Ordered::array({{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}})},
      {"noNewPrivileges", true}};
  spec["root"] = {{"path", "rootfs"}, {"readonly", true}};
  spec["hostname"] = "berth";
  spec["mounts"] = mounts(rootless);
  Ordered namespaces = Ordered::array();
  for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"}) namespaces.push_back({{"type", type}});
  Ordered& part = spec["linux"];
  if (rootless) {
    namespaces.push_back({{"type", "user"}});
    part["uidMappings"] = Ordered::array({{{"containerID", 0}, {"hostID", ::geteuid()}, {"size", 1}}});
    part["gidMappings"] = Ordered::array({{{"containerID", 0}, {"hostID", ::getegid()}, {"size", 1}}});
  }
  part["resources"] = {{"devices", Ordered::array({{{"allow", false}, {"access", "rwm"}}})}};
  part["namespaces"] = namespaces;
  part["maskedPaths"] = {"/proc/acpi",        "/proc/asound",     "/proc/kcore",      "/proc/keys",
                         "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                         "/sys/firmware",     "/proc/scsi"};
  part["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return spec;
}

}  // namespace

Result<int> spec(const Globals&, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"bundle", 'b', true}, {"rootless", 0}, {"config", 'f', true}}, false));
  BERTH_ASSIGN(const std::string bundle, absolute_path(args.get("bundle")));
  const std::string path = args.has("config") ? args.get("config") : bundle + "/config.json";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return sys_error("open", path);
  BERTH_TRY(write_all(file.get(), default_spec(args.is_set("rootless")).dump(2) + "\n", path));
  return 0;
}

Result<int> features(const Globals&, const Words& words) {
  BERTH_TRY(parse_args(words, {}, false));
  const auto seccomp = container::seccomp_names();
  Ordered out;
  out["ociVersionMin"] = "1.0.0";
  out["ociVersionMax"] = "1.2.0";
  out["hooks"] = {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  out["mountOptions"] = container::known_mount_options();
  Ordered& part = out["linux"];
  part["namespaces"] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
  part["capabilities"] = container::capability_names();
  part["cgroup"] = {{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}, {"rdma", true}};
  part["seccomp"] = {{"enabled", true},
                     {"actions", seccomp.actions},
                     {"operators", seccomp.operators},
                     {"archs", seccomp.architectures},
                     {"knownFlags", seccomp.flags},
                     {"supportedFlags", seccomp.flags}};
  part["apparmor"] = {{"enabled", true}};
  part["selinux"] = {{"enabled", true}};
  part["intelRdt"] = {{"enabled", false}};
  part["mountExtensions"] = {{"idmap", {{"enabled", true}}}};
  out["annotations"] = {{"io.berth.runtime.version", kVersion}};
  out["potentiallyUnsafeConfigAnnotations"] = Ordered::array();
  print(out.dump(2) + "\n");
  return 0;
}

}  // namespace berth::cli
