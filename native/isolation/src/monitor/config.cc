#include "monitor/config.h"

#include "base/file.h"
#include "oci/json.h"

namespace berth::monitor {

namespace {

using oci::ObjectReader;

constexpr size_t kMaxConfig = 1u << 20;
constexpr int kMaxLogFiles = 1000;

void read_log(ObjectReader& in, LogOptions& log) {
  in.read("path", log.path);
  in.read("maxSize", log.max_size);
  in.read("maxFiles", log.max_files);
  in.read("compress", log.compress);
  in.read("compact", log.compact);
  in.read("hold", log.hold);
  in.read("attributes", log.attributes);
  const std::string& attributes = log.attributes;
  if (attributes.size() > kMaxLogAttributes || (!attributes.empty() && attributes[0] != '{'))
    in.fail("attributes", "a JSON object of at most 64 KiB");
  if (log.hold && !log.compact) in.fail("hold", "the compact format");
  if (log.path.empty() || log.path[0] != '/') in.fail("path", "an absolute path");
  if (log.max_size < 0) in.fail("maxSize", "bytes, 0 for no limit");
  if (log.max_files < 1 || log.max_files > kMaxLogFiles) in.fail("maxFiles", "1 to 1000");
}

void read_mount(ObjectReader& in, container::RootfsMount& mount) {
  in.read("type", mount.type);
  in.read("source", mount.source);
  in.read("base", mount.base);
  in.read("options", mount.options);
  if (mount.type.empty()) in.fail("type", "a file system type");
}

void read_staged(ObjectReader& in, container::StagedMount& staged) {
  in.read("at", staged.at);
  if (staged.at.empty() || staged.at.find('/') != std::string::npos || staged.at[0] == '.') in.fail("at", "a directory's name");
  in.read_object("mount", [&](ObjectReader& inner) { read_mount(inner, staged.mount); });
  if (staged.mount.type.empty()) in.fail("mount", "a mount");
}

void read_runtime(ObjectReader& in, external::Runtime& runtime) {
  in.read("path", runtime.path);
  in.read("args", runtime.args);
  in.read("root", runtime.root);
  if (runtime.path.empty() || runtime.path[0] != '/') in.fail("path", "an absolute path");
  if (runtime.root.empty() || runtime.root[0] != '/') in.fail("root", "an absolute path");
}

}  // namespace

Result<Config> parse_config(std::string_view text) {
  BERTH_ASSIGN(const oci::Json json, oci::parse_json(text, kMaxConfig));
  ObjectReader in(json, "");
  Config config;
  int version = 0;
  in.read("v", version);
  if (version != 1) in.fail("v", "version 1");
  in.read("id", config.id);
  if (config.id.empty()) in.fail("id", "the container's id");
  in.read("exitFile", config.exit_file);
  if (config.exit_file.empty() || config.exit_file[0] != '/') in.fail("exitFile", "an absolute path");
  in.read_object("log", [&](ObjectReader& inner) { read_log(inner, config.log.emplace()); });
  in.read_list("rootfsMounts", config.rootfs_mounts, read_mount);
  in.read_list("stagedMounts", config.staged_mounts, read_staged);
  in.read("user", config.user);
  in.read("groups", config.groups);
  in.read("stdinOpen", config.stdin_open);
  in.read("stdinOnce", config.stdin_once);
  in.read("rows", config.rows);
  in.read("cols", config.cols);
  in.read_object("runtime", [&](ObjectReader& inner) { read_runtime(inner, config.runtime.emplace()); });
  std::string seccomp;
  in.read("seccomp", seccomp);
  if (!seccomp.empty() && seccomp != "default") in.fail("seccomp", "\"default\"");
  config.default_seccomp = !seccomp.empty();
  if (in.error()) return *in.error();
  return config;
}

Result<Config> load_config(const std::string& bundle) {
  BERTH_ASSIGN(const std::string text, read_file(bundle + "/monitor.json", kMaxConfig));
  return parse_config(text);
}

}  // namespace berth::monitor
