// exec: a process in a running container, from an OCI process object or from flags.
#include <unistd.h>

#include "base/file.h"
#include "cli/commands.h"
#include "oci/json.h"

namespace berth::cli {

namespace {

const std::vector<Flag> kExecFlags = {
    {"process", 'p', true},  {"tty", 't'},          {"detach", 'd'},          {"pid-file", 0, true},
    {"cwd", 0, true},        {"env", 'e', true},    {"user", 'u', true},      {"cap", 'c', true},
    {"apparmor", 0, true},   {"no-new-privs", 0},   {"console-socket", 0, true}, {"preserve-fds", 0, true},
    {"process-label", 0, true}, {"additional-gids", 'g', true}, {"cgroup", 0, true}, {"ignore-paused", 0},
};

/// Puts "NAME=value" in the place of an entry of that name, or at the end.
void set_variable(std::vector<std::string>& env, const std::string& entry) {
  const std::string name = entry.substr(0, entry.find('=')) + "=";
  for (auto& old : env)
    if (old.starts_with(name)) {
      old = entry;
      return;
    }
  env.push_back(entry);
}

/// The container's own process with what the flags say put over it.
Result<oci::Process> process_from_flags(const oci::Spec& spec, const Args& args) {
  if (!spec.process) return bad_input("process", "an object in the container's config.json");
  oci::Process process = *spec.process;
  process.terminal = args.is_set("tty");
  process.args.assign(args.words.begin() + 1, args.words.end());
  if (process.args.empty()) return Error{EINVAL, "", "", "a command is needed, or --process"};
  if (args.has("cwd")) process.cwd = args.get("cwd");
  for (const auto& entry : args.all("env")) set_variable(process.env, entry);
  for (const auto& name : args.all("cap")) {
    oci::Capabilities& sets = process.capabilities ? *process.capabilities : process.capabilities.emplace();
    for (auto* set : {&sets.bounding, &sets.effective, &sets.permitted})
      set->push_back(name);
  }
  for (const auto& text : args.all("additional-gids"))
    process.user.additional_gids.push_back(static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 10)));
  if (args.has("apparmor")) process.apparmor_profile = args.get("apparmor");
  if (args.has("process-label")) process.selinux_label = args.get("process-label");
  if (args.is_set("no-new-privs")) process.no_new_privileges = true;
  return process;
}

/// "uid[:gid]" as numbers needs no look-up inside the container and gives no groups, as runc has it.
bool numeric_user(const std::string& text, oci::User& user) {
  if (text.empty() || text.find_first_not_of("0123456789:") != std::string::npos) return false;
  const size_t colon = text.find(':');
  user.uid = static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
  user.gid = colon == std::string::npos ? 0 : static_cast<uint32_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10));
  return true;
}

}  // namespace

Result<int> exec(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(Args args, parse_args(words, kExecFlags, true));
  if (args.words.empty()) return Error{EINVAL, "", "", "a container id is needed"};
  lifecycle::Store store(globals.root);
  lifecycle::ExecRequest request;
  request.id = args.words[0];
  // "exec ID -- command", as people write it.
  if (args.words.size() > 1 && args.words[1] == "--") args.words.erase(args.words.begin() + 1);
  BERTH_TRY(store.load(request.id));
  if (args.has("process")) {
    BERTH_ASSIGN(const std::string text, read_file(args.get("process"), oci::kMaxDocumentBytes));
    BERTH_ASSIGN(request.process, oci::parse_process(text));
    if (args.is_set("tty")) request.process.terminal = true;
  } else {
    BERTH_ASSIGN(const oci::Spec spec, store.spec(request.id));
    BERTH_ASSIGN(request.process, process_from_flags(spec, args));
  }
  if (args.has("user") && !numeric_user(args.get("user"), request.process.user)) request.user = args.get("user");
  request.pid_file = args.get("pid-file");
  request.detach = args.is_set("detach");
  request.cgroup = args.get("cgroup");
  if (args.has("preserve-fds"))
    request.preserve_fds = static_cast<unsigned>(std::strtoul(args.get("preserve-fds").c_str(), nullptr, 10));
  BERTH_ASSIGN(auto running, lifecycle::exec(store, request));
  if (args.has("console-socket")) {
    BERTH_TRY(lifecycle::send_terminal(args.get("console-socket"), running.terminal.get()));
    running.terminal.reset();
  }
  if (request.detach) return 0;
  return attend(running);
}

}  // namespace berth::cli
