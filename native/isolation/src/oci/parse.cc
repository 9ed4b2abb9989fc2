#include "oci/parse.h"

#include <set>

#include "base/file.h"
#include "oci/json.h"
#include "oci/parse_parts.h"

namespace berth::oci {

namespace {

void read_mount(ObjectReader& in, Mount& out) {
  in.read("destination", out.destination);
  in.read("type", out.type);
  in.read("source", out.source);
  in.read("options", out.options);
  in.read_list("uidMappings", out.uid_mappings, read_id_mapping);
  in.read_list("gidMappings", out.gid_mappings, read_id_mapping);
  if (out.destination.empty()) in.fail("destination", "a path");
}

void read_hook(ObjectReader& in, Hook& out) {
  in.read("path", out.path);
  in.read("args", out.args);
  in.read("env", out.env);
  in.read("timeout", out.timeout);
  if (out.path.empty() || out.path[0] != '/') in.fail("path", "an absolute path");
  if (out.timeout && *out.timeout == 0) in.fail("timeout", "seconds greater than zero");
}

void read_hooks(ObjectReader& in, Hooks& out) {
  in.read_list("prestart", out.prestart, read_hook);
  in.read_list("createRuntime", out.create_runtime, read_hook);
  in.read_list("createContainer", out.create_container, read_hook);
  in.read_list("startContainer", out.start_container, read_hook);
  in.read_list("poststart", out.poststart, read_hook);
  in.read_list("poststop", out.poststop, read_hook);
}

/// Rules that span fields, or that the runtime-spec puts on values.
std::optional<Error> check(const Spec& spec) {
  if (spec.oci_version.empty()) return bad_input("ociVersion", "a version (1.x)");
  if (!spec.oci_version.starts_with("1.")) return bad_input("ociVersion", "1.x, got " + spec.oci_version);
  if (spec.root && spec.root->path.empty()) return bad_input("root.path", "a path");
  std::set<NamespaceType> seen;
  for (const auto& ns : spec.linux_.namespaces)
    if (!seen.insert(ns.type).second) return bad_input("linux.namespaces", "each type at most once");
  if (spec.hostname.size() > 64) return bad_input("hostname", "at most 64 bytes");
  if (spec.domainname.size() > 64) return bad_input("domainname", "at most 64 bytes");
  const bool new_user = seen.contains(NamespaceType::user);
  if (!new_user && (!spec.linux_.uid_mappings.empty() || !spec.linux_.gid_mappings.empty()))
    return bad_input("linux.uidMappings", "a user namespace in linux.namespaces");
  if (!spec.linux_.time_offsets.empty() && !seen.contains(NamespaceType::time))
    return bad_input("linux.timeOffsets", "a time namespace in linux.namespaces");
  for (const auto& [key, value] : spec.annotations)
    if (key.empty()) return bad_input("annotations", "keys that are not empty");
  return std::nullopt;
}

}  // namespace

Result<Spec> parse_spec(std::string_view text) {
  BERTH_ASSIGN(const Json json, parse_json(text));
  Spec spec;
  ObjectReader in(json, "");
  in.read("ociVersion", spec.oci_version);
  in.read_object("process", [&](ObjectReader& part) { read_process(part, spec.process.emplace()); });
  in.read_object("root", [&](ObjectReader& part) {
    Root& root = spec.root.emplace();
    part.read("path", root.path);
    part.read("readonly", root.readonly);
  });
  in.read("hostname", spec.hostname);
  in.read("domainname", spec.domainname);
  in.read_list("mounts", spec.mounts, read_mount);
  in.read_object("hooks", [&](ObjectReader& part) { read_hooks(part, spec.hooks); });
  in.read("annotations", spec.annotations);
  in.read_object("linux", [&](ObjectReader& part) { read_linux(part, spec.linux_); });
  if (in.error()) return *in.error();
  if (auto error = check(spec)) return *error;
  return spec;
}

Result<Spec> load_spec(const std::string& bundle) {
  BERTH_ASSIGN(const std::string text, read_file(bundle + "/config.json", kMaxDocumentBytes));
  return parse_spec(text);
}

Result<Process> parse_process(std::string_view text) {
  BERTH_ASSIGN(const Json json, parse_json(text));
  Process process;
  ObjectReader in(json, "process");
  read_process(in, process);
  if (in.error()) return *in.error();
  return process;
}

Result<Resources> parse_resources(std::string_view text) {
  BERTH_ASSIGN(const Json json, parse_json(text));
  Resources resources;
  ObjectReader in(json, "resources");
  read_resources(in, resources);
  if (in.error()) return *in.error();
  return resources;
}

}  // namespace berth::oci
