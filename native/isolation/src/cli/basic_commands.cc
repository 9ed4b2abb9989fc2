// create, run, start, state, kill, delete, list, ps, pause, resume.
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>

#include "base/file.h"
#include "cli/commands.h"
#include "container/paths.h"
#include "oci/json.h"

namespace berth::cli {

using lifecycle::Store;

void print(const std::string& text) { (void)write_all(1, text, "stdout"); }

Result<std::string> only_id(const Args& args) {
  if (args.words.size() != 1) return Error{EINVAL, "", "", "exactly one container id is needed"};
  return args.words[0];
}

Result<std::string> absolute_path(const std::string& path) {
  char text[PATH_MAX];
  if (::getcwd(text, sizeof text) == nullptr) return sys_error("getcwd");
  return container::clean_path(container::absolute(text, path.empty() ? "." : path));
}

namespace {

const std::vector<Flag> kCreateFlags = {
    {"bundle", 'b', true}, {"pid-file", 0, true},   {"console-socket", 0, true}, {"preserve-fds", 0, true},
    {"no-pivot", 0},       {"no-new-keyring", 0},   {"detach", 'd'},             {"keep", 0},
    {"no-subreaper", 0},   {"config", 'f', true},   {"no-mount-fallback", 0},    {"pidfd-socket", 0, true},
};

Result<unsigned> small_number(const std::string& text, const char* field) {
  if (text.empty()) return 0u;
  if (text.size() > 4 || text.find_first_not_of("0123456789") != std::string::npos)
    return bad_input(field, "a number, got " + text);
  return static_cast<unsigned>(std::atoi(text.c_str()));
}

Result<lifecycle::CreateOptions> create_options(const Globals& globals, const Args& args) {
  lifecycle::CreateOptions options;
  BERTH_ASSIGN(options.id, only_id(args));
  BERTH_ASSIGN(options.bundle, absolute_path(args.get("bundle")));
  if (args.has("config")) {
    BERTH_ASSIGN(options.config, absolute_path(args.get("config")));
  }
  options.pid_file = args.get("pid-file");
  options.console_socket = args.get("console-socket");
  options.no_pivot = args.is_set("no-pivot");
  options.no_new_keyring = args.is_set("no-new-keyring");
  options.systemd_cgroup = globals.systemd_cgroup;
  BERTH_ASSIGN(options.preserve_fds, small_number(args.get("preserve-fds"), "--preserve-fds"));
  // systemd's socket activation: the sockets are descriptors 3 and up.
  if (const char* listen = ::getenv("LISTEN_FDS")) {
    BERTH_ASSIGN(const unsigned count, small_number(listen, "LISTEN_FDS"));
    options.preserve_fds += count;
  }
  return options;
}

/// A command of one container id.
Result<int> on_one(const Globals& globals, const Words& words, Result<void> (*act)(Store&, const std::string&)) {
  BERTH_ASSIGN(const Args args, parse_args(words, {}, false));
  BERTH_ASSIGN(const std::string id, only_id(args));
  Store store(globals.root);
  BERTH_TRY(act(store, id));
  return 0;
}

std::string column(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 2), ' ');
  return text;
}

Result<bool> wants_json(const Args& args) {
  const std::string format = args.get("format");
  if (format != "" && format != "table" && format != "json") return bad_input("--format", "table or json, got " + format);
  return format == "json";
}

}  // namespace

Result<int> create(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, kCreateFlags, false));
  BERTH_ASSIGN(const auto options, create_options(globals, args));
  Store store(globals.root);
  BERTH_TRY(lifecycle::create(store, options));
  return 0;
}

Result<int> run(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, kCreateFlags, false));
  BERTH_ASSIGN(const auto options, create_options(globals, args));
  Store store(globals.root);
  const bool detach = args.is_set("detach");
  if (detach) {
    BERTH_TRY(lifecycle::create(store, options));
    if (auto started = lifecycle::start(store, options.id); !started) {
      (void)lifecycle::remove(store, options.id, true);
      return started.error();
    }
    return 0;
  }
  BERTH_ASSIGN(auto running, lifecycle::run(store, options));
  BERTH_ASSIGN(const int code, attend(running));
  if (!args.is_set("keep")) BERTH_TRY(lifecycle::remove(store, options.id, true));
  return code;
}

Result<int> start(const Globals& globals, const Words& words) { return on_one(globals, words, lifecycle::start); }
Result<int> pause(const Globals& globals, const Words& words) { return on_one(globals, words, lifecycle::pause); }
Result<int> resume(const Globals& globals, const Words& words) { return on_one(globals, words, lifecycle::resume); }

Result<int> state(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"all", 'a'}, {"regex", 'r', true}}, false));
  BERTH_ASSIGN(const std::string id, only_id(args));
  const Store store(globals.root);
  BERTH_ASSIGN(const auto loaded, store.load(id));
  print(lifecycle::state_text(store, loaded, true) + "\n");
  return 0;
}

Result<int> kill(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"all", 'a'}, {"regex", 'r', true}}, false));
  if (args.words.empty() || args.words.size() > 2) return Error{EINVAL, "", "", "a container id and a signal are needed"};
  int signal = SIGTERM;
  if (args.words.size() == 2) {
    BERTH_ASSIGN(signal, lifecycle::signal_number(args.words[1]));
  }
  Store store(globals.root);
  BERTH_TRY(lifecycle::kill(store, args.words[0], signal, args.is_set("all")));
  return 0;
}

Result<int> remove(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"force", 'f'}, {"regex", 'r', true}}, false));
  BERTH_ASSIGN(const std::string id, only_id(args));
  Store store(globals.root);
  BERTH_TRY(lifecycle::remove(store, id, args.is_set("force")));
  return 0;
}

Result<int> list(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"quiet", 'q'}, {"format", 'f', true}}, false));
  BERTH_ASSIGN(const bool json, wants_json(args));
  const Store store(globals.root);
  BERTH_ASSIGN(const auto all, store.list());
  if (json) {
    std::string text = "[";
    for (const auto& one : all) text += (text.size() > 1 ? "," : "") + lifecycle::state_text(store, one, false);
    print(text + "]\n");
    return 0;
  }
  std::string text = args.is_set("quiet") ? "" : "ID              PID       STATUS    BUNDLE                        CREATED                         OWNER\n";
  for (const auto& one : all) {
    if (args.is_set("quiet")) {
      text += one.id + "\n";
      continue;
    }
    const auto status = lifecycle::status_of(store, one);
    text += column(one.id, 16) + column(std::to_string(status == lifecycle::Status::stopped ? 0 : one.pid), 10) +
            column(lifecycle::status_name(status), 10) + column(one.bundle, 30) + column(one.created, 32) + one.owner + "\n";
  }
  print(text);
  return 0;
}

Result<int> ps(const Globals& globals, const Words& words) {
  BERTH_ASSIGN(const Args args, parse_args(words, {{"format", 'f', true}}, false));
  BERTH_ASSIGN(const std::string id, only_id(args));
  BERTH_ASSIGN(const bool json, wants_json(args));
  Store store(globals.root);
  BERTH_ASSIGN(const auto pids, lifecycle::processes(store, id));
  if (json) {
    print(oci::Json(pids).dump() + "\n");
    return 0;
  }
  std::string text = "PID\n";
  for (const pid_t pid : pids) text += std::to_string(pid) + "\n";
  print(text);
  return 0;
}

}  // namespace berth::cli
