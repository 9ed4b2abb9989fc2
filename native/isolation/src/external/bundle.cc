#include "external/bundle.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "container/mount_options.h"
#include "container/paths.h"
#include "container/rootfs_mounts.h"
#include "container/setup.h"
#include "container/users.h"
#include "oci/json.h"

namespace berth::external {

namespace {

using oci::Json;

Result<void> write_json(const std::string& path, const Json& json) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return sys_error("open", path);
  return write_all(file.get(), json.dump(-1, ' ', false, Json::error_handler_t::replace), path);
}

/// As the runtime-spec writes a profile.
Json seccomp_json(const oci::Seccomp& seccomp) {
  Json syscalls = Json::array();
  for (const oci::SeccompSyscall& rule : seccomp.syscalls) {
    Json one = {{"names", rule.names}, {"action", rule.action}};
    if (rule.errno_ret) one["errnoRet"] = *rule.errno_ret;
    for (const oci::SeccompArg& arg : rule.args)
      one["args"].push_back({{"index", arg.index}, {"value", arg.value}, {"valueTwo", arg.value_two}, {"op", arg.op}});
    syscalls.push_back(std::move(one));
  }
  Json json = {{"defaultAction", seccomp.default_action}, {"architectures", seccomp.architectures}, {"syscalls", std::move(syscalls)}};
  if (seccomp.default_errno_ret) json["defaultErrnoRet"] = *seccomp.default_errno_ret;
  if (!seccomp.flags.empty()) json["flags"] = seccomp.flags;
  return json;
}

/// The user as numbers, whoever was named.
Result<void> settle_user(Json& process, int root, const oci::Process& parsed, const std::string& user,
                         const std::vector<std::string>& groups) {
  BERTH_ASSIGN(const container::Identity found, container::resolve_identity(root, {user, groups}, parsed.user));
  Json& out = process["user"];
  out["uid"] = found.uid;
  out["gid"] = found.gid;
  out["additionalGids"] = found.groups;
  // The one that Docker's containers start with, not the runtime's own, whatever that is.
  if (!out.contains("umask")) out["umask"] = 022;
  return {};
}

void settle_size(Json& process, bool terminal, uint16_t rows, uint16_t cols) {
  if (terminal && rows > 0 && cols > 0) process["consoleSize"] = {{"height", rows}, {"width", cols}};
}

/// Puts a tree of mounts at BUNDLE/NAME, a directory or a file as the tree's root is one.
Result<std::string> attach(const UniqueFd& tree, const std::string& path) {
  struct stat info;
  if (::fstat(tree.get(), &info) != 0) return sys_error("fstat", path);
  if (S_ISDIR(info.st_mode) ? ::mkdir(path.c_str(), 0700) != 0 : ::mknod(path.c_str(), S_IFREG | 0600, 0) != 0)
    if (errno != EEXIST) return sys_error("mkdir", path);
  if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return sys_error("move_mount", path);
  return path;
}

/// Where a bind's source is for a runtime that knows paths only: made out here where it lies below a subpath or in another
/// container.
Result<std::string> bind_source(const oci::Mount& mount, const container::MountOptions& words, const std::string& bundle,
                                const std::string& aside) {
  const std::string source = container::absolute(bundle, mount.source);
  const bool recursive = (words.flags & MS_REC) != 0;
  if (!words.source_subpath.empty()) {
    BERTH_ASSIGN(const UniqueFd inner, container::open_within(source, words.source_subpath));
    const UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, inner.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE |
                                                       OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0))));
    if (!tree) return sys_error("open_tree", source);
    return attach(tree, aside);
  }
  const UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return sys_error("open", "/proc");
  BERTH_ASSIGN(const UniqueFd tree, container::foreign_tree(proc.get(), source, recursive));
  if (!tree) return source;
  return attach(tree, aside);
}

/// The words of a bind for any runtime. Below a file nothing is mounted, and crun takes "rro" for directories alone.
Json bind_words(const std::vector<std::string>& words, const std::string& source) {
  struct stat info;
  const bool is_file = ::stat(source.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
  Json plain = Json::array();
  for (const std::string& word : words)
    if (!word.starts_with("src-subpath=")) plain.push_back(is_file && word == "rro" ? "ro" : word);
  return plain;
}

Result<void> settle_mounts(Json& mounts, const oci::Spec& spec, const std::string& bundle) {
  for (size_t i = 0; i < spec.mounts.size() && i < mounts.size(); i++) {
    const oci::Mount& mount = spec.mounts[i];
    const container::MountOptions words = container::parse_mount_options(mount.options);
    if (!words.bind() && mount.type != "bind") continue;
    BERTH_ASSIGN(const std::string source, bind_source(mount, words, bundle, bundle + "/bind-" + std::to_string(i)));
    mounts[i]["source"] = source;
    mounts[i]["options"] = bind_words(mount.options, source);
  }
  return {};
}

/// Root file system and staged mounts, for this process and the one that it becomes. The root's path.
Result<std::string> mount_all(const oci::Spec& spec, const container::LaunchOptions& options) {
  // Only the mount that ours stand on: all others stay shared with the host as they are, for binds that are to be.
  BERTH_TRY(container::make_parent_private(options.bundle));
  for (const container::StagedMount& staged : options.staged_mounts)
    BERTH_TRY(container::mount_rootfs({staged.mount}, options.bundle + "/" + staged.at));
  const std::string root = container::clean_path(container::absolute(options.bundle, spec.root->path));
  BERTH_TRY(container::mount_rootfs(options.rootfs_mounts, root));
  return root;
}

/// Docker's word for what our own runtime does of itself: what is mounted on the host later shows below slaves alone, and a root
/// that nobody asked anything of is left to the runtime.
void settle_propagation(Json& linux_part, const std::string& word) {
  if (word == "slave") linux_part["rootfsPropagation"] = "rslave";
  if (word == "private") linux_part.erase("rootfsPropagation");
}

}  // namespace

Result<void> write_bundle(const oci::Spec& spec, const container::LaunchOptions& options, const std::string& directory) {
  if (!spec.process) return bad_input("process", "an object");
  if (!spec.root) return bad_input("root", "an object");
  BERTH_ASSIGN(const std::string text, read_file(options.bundle + "/config.json", oci::kMaxDocumentBytes));
  BERTH_ASSIGN(Json json, oci::parse_json(text));
  BERTH_ASSIGN(const std::string root, mount_all(spec, options));
  // The oldest that has all we write: runtimes refuse what they do not know yet (crun 1.8 takes no 1.1 and later).
  json["ociVersion"] = "1.0.2";
  json["root"]["path"] = root;
  if (json.contains("mounts")) BERTH_TRY(settle_mounts(json["mounts"], spec, options.bundle));
  const UniqueFd inside(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!inside) return sys_error("open", root);
  BERTH_TRY(settle_user(json["process"], inside.get(), *spec.process, options.user, options.groups));
  settle_size(json["process"], spec.process->terminal, options.rows, options.cols);
  Json& linux_part = json["linux"];
  linux_part["cgroupsPath"] = options.cgroup_path;
  settle_propagation(linux_part, spec.linux_.rootfs_propagation);
  if (spec.linux_.seccomp) linux_part["seccomp"] = seccomp_json(*spec.linux_.seccomp);
  return write_json(directory + "/config.json", json);
}

Result<void> write_process(std::string_view request, const oci::Process& process, const container::ExecOptions& options,
                           const std::string& file) {
  BERTH_ASSIGN(Json json, oci::parse_json(request));
  if (!json.is_object() || !json.contains("process")) return bad_input("process", "an object");
  const std::string root = "/proc/" + std::to_string(options.container_pid) + "/root";
  const UniqueFd inside(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!inside) return sys_error("open", root);
  BERTH_TRY(settle_user(json["process"], inside.get(), process, options.user, options.groups));
  settle_size(json["process"], process.terminal, options.rows, options.cols);
  return write_json(file, json["process"]);
}

}  // namespace berth::external
