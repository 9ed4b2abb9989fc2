#include "lifecycle/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "oci/json.h"

namespace berth::lifecycle {

const char* status_name(Status status) {
  switch (status) {
    case Status::creating:
      return "creating";
    case Status::created:
      return "created";
    case Status::running:
      return "running";
    case Status::paused:
      return "paused";
    case Status::stopped:
      return "stopped";
  }
  return "unknown";
}

Result<void> check_id(const std::string& id) {
  const auto good = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("_+-.").find(static_cast<char>(c)) != std::string_view::npos;
  };
  const auto bad = std::find_if_not(id.begin(), id.end(), good);
  if (bad != id.end()) return Error{EINVAL, "", "", std::string("invalid character `") + *bad + "` in the container ID"};
  if (id.empty() || id.size() > 1024 || id[0] == '.')
    return Error{EINVAL, "", "", "invalid container ID: 1 to 1024 characters, the first no dot"};
  return {};
}

Result<void> Store::reserve(const std::string& id, const std::string& config) {
  BERTH_TRY(check_id(id));
  BERTH_TRY(make_directories(root_, 0700));
  if (::mkdir(directory(id).c_str(), 0700) != 0) {
    if (errno == EEXIST) return Error{EEXIST, "create", id, "a container with this id exists already"};
    return sys_error("mkdir", directory(id));
  }
  auto written = replace_file(directory(id) + "/config.json", config, 0600, false);
  if (!written) (void)forget(id);
  return written;
}

Result<void> Store::save(const State& state) {
  const oci::Json json = {{"id", state.id},           {"bundle", state.bundle},
                          {"rootfs", state.rootfs},   {"cgroupPath", state.cgroup_path},
                          {"created", state.created}, {"owner", state.owner},
                          {"pid", state.pid},         {"startTime", state.start_time},
                          {"systemdCgroup", state.systemd_cgroup}};
  return replace_file(directory(state.id) + "/state.json",
                      json.dump(-1, ' ', false, oci::Json::error_handler_t::replace), 0600, false);
}

Result<State> Store::load(const std::string& id) const {
  BERTH_TRY(check_id(id));
  auto text = read_file(directory(id) + "/state.json");
  if (!text) {
    if (text.error().code == ENOENT) return Error{ENOENT, "container", id, "container does not exist"};
    return text.error();
  }
  BERTH_ASSIGN(const oci::Json json, oci::parse_json(*text));
  State state;
  oci::ObjectReader in(json, "");
  in.read("id", state.id);
  in.read("bundle", state.bundle);
  in.read("rootfs", state.rootfs);
  in.read("cgroupPath", state.cgroup_path);
  in.read("created", state.created);
  in.read("owner", state.owner);
  in.read("pid", state.pid);
  in.read("startTime", state.start_time);
  in.read("systemdCgroup", state.systemd_cgroup);
  if (in.error()) return *in.error();
  return state;
}

Result<oci::Spec> Store::spec(const std::string& id) const { return oci::load_spec(directory(id)); }

bool Store::exists(const std::string& id) const { return ::access(directory(id).c_str(), F_OK) == 0; }

Result<std::vector<State>> Store::list() const {
  std::vector<State> all;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(root_.c_str()), ::closedir);
  if (!directory) {
    if (errno == ENOENT) return all;
    return sys_error("opendir", root_);
  }
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    // One that is just being made or deleted by another call is not there.
    if (auto state = load(entry->d_name)) all.push_back(std::move(*state));
  }
  std::sort(all.begin(), all.end(), [](const State& a, const State& b) { return a.id < b.id; });
  return all;
}

Result<void> Store::forget(const std::string& id) {
  const std::string path = directory(id);
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(path.c_str()), ::closedir);
  if (!handle) {
    if (errno == ENOENT) return {};
    return sys_error("opendir", path);
  }
  while (const dirent* entry = ::readdir(handle.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && ::unlinkat(::dirfd(handle.get()), name.c_str(), 0) != 0 && errno != ENOENT)
      return sys_error("unlink", path + "/" + name);
  }
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return sys_error("rmdir", path);
  return {};
}

uint64_t process_start_time(pid_t pid) {
  if (pid <= 0) return 0;
  const auto text = read_file("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return 0;
  // The name in parentheses may hold anything, so count fields from the last one: state is the third field.
  const std::string& line = text.value();
  size_t at = line.rfind(')');
  if (at == std::string::npos || at + 2 >= line.size()) return 0;
  at += 2;
  if (line[at] == 'Z' || line[at] == 'X') return 0;
  for (int field = 3; field < 22; ++field) {
    at = line.find(' ', at);
    if (at == std::string::npos) return 0;
    ++at;
  }
  return std::strtoull(line.c_str() + at, nullptr, 10);
}

Status status_of(const Store& store, const State& state) {
  if (state.pid == 0) return Status::creating;
  if (process_start_time(state.pid) != state.start_time) return Status::stopped;
  if (::access(store.start_socket(state.id).c_str(), F_OK) == 0) return Status::created;
  if (auto group = cgroup::open(state.cgroup_path))
    if (auto frozen = (*group)->frozen(); frozen && *frozen) return Status::paused;
  return Status::running;
}

std::string state_text(const Store& store, const State& state, bool pretty) {
  const Status status = status_of(store, state);
  // ordered_json: the specification's order reads better.
  nlohmann::ordered_json json;
  json["ociVersion"] = "1.2.0";
  json["id"] = state.id;
  json["pid"] = status == Status::stopped ? 0 : state.pid;
  json["status"] = status_name(status);
  json["bundle"] = state.bundle;
  json["rootfs"] = state.rootfs;
  json["created"] = state.created;
  json["owner"] = state.owner;
  if (auto spec = store.spec(state.id); spec) {
    json["ociVersion"] = spec->oci_version;
    if (!spec->annotations.empty()) json["annotations"] = spec->annotations;
  }
  return json.dump(pretty ? 2 : -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace berth::lifecycle
