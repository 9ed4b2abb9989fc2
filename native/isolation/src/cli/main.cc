// berth-runtime: the OCI command line, and the monitor.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/init.h"
#include "cli/seal.h"
#include "oci/json.h"
#include "base/version.h"

#if __has_include("monitor/main.h")
#include "monitor/main.h"
#define BERTH_HAS_MONITOR 1
#endif

namespace berth::cli {
namespace {

struct Command {
  const char* name;
  Result<int> (*run)(const Globals&, const Words&);
  const char* help;
};
constexpr Command kCommands[] = {
    {"create", create, "--bundle DIR [--pid-file F] [--console-socket S] [--preserve-fds N] [--no-pivot] ID"},
    {"start", start, "ID"},
    {"run", run, "as create, and [--detach] [--keep]"},
    {"state", state, "ID"},
    {"kill", kill, "[--all] ID [SIGNAL]"},
    {"delete", remove, "[--force] ID"},
    {"list", list, "[--quiet] [--format table|json]"},
    {"exec", exec, "[--tty] [--detach] [--process F] [--user U[:G]] [--cwd D] [--env K=V] ID [COMMAND ...]"},
    {"ps", ps, "[--format table|json] ID"},
    {"pause", pause, "ID"},
    {"resume", resume, "ID"},
    {"update", update, "[--resources F|-] [--memory B] [--pids-limit N] ... ID"},
    {"spec", spec, "[--bundle DIR] [--rootless]"},
    {"features", features, ""},
};

const std::vector<Flag> kGlobalFlags = {
    {"root", 0, true},  {"log", 0, true},          {"log-format", 0, true}, {"log-level", 0, true},
    {"debug", 0},       {"systemd-cgroup", 0},     {"cgroup-manager", 0, true}, {"rootless", 0, true},
    {"version", 'v'},   {"help", 'h'},             {"criu", 0, true},
};

void help() {
  std::string text = "Usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] [--systemd-cgroup] COMMAND ...\n\n";
  for (const Command& command : kCommands) {
    std::string name = command.name;
    name.resize(10, ' ');
    text += "  " + name + command.help + "\n";
  }
  text += "  monitor   --bundle DIR --listen-fd N --report-fd N\n";
  print(text);
}

/// "file:" before a path, as crun has it, is allowed.
std::string log_path(const Args& args) {
  const std::string path = args.get("log");
  return path.starts_with("file:") ? path.substr(5) : path;
}

std::string timestamp() {
  char text[32];
  const time_t now = ::time(nullptr);
  tm parts;
  ::gmtime_r(&now, &parts);
  ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

void log_error(const Args& globals, const std::string& message) {
  const std::string path = log_path(globals);
  if (!path.empty()) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    std::string line;
    if (globals.get("log-format") == "json")
      line = oci::Json({{"level", "error"}, {"msg", message}, {"time", timestamp()}})
                 .dump(-1, ' ', false, oci::Json::error_handler_t::replace);
    else
      line = timestamp() + " error " + message;
    line += '\n';
    if (file) (void)write_all(file.get(), line, path);
  }
  std::fprintf(stderr, "berth-runtime: %s\n", message.c_str());
}

/// A log that can't be written is found out before there is something to say.
Result<void> check_log(const Args& args) {
  const std::string format = args.get("log-format");
  if (format != "" && format != "text" && format != "json") return bad_input("--log-format", "text or json, got " + format);
  const std::string path = log_path(args);
  if (path.empty()) return {};
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) return sys_error("open log", path);
  return {};
}

Result<Globals> globals_of(const Args& args) {
  Globals globals;
  globals.root = args.get("root");
  globals.systemd_cgroup = args.is_set("systemd-cgroup") || args.get("cgroup-manager") == "systemd";
  if (globals.root.empty()) {
    const char* user_directory = ::getenv("XDG_RUNTIME_DIR");
    globals.root = ::getuid() != 0 && user_directory != nullptr ? std::string(user_directory) + "/berth-runtime"
                                                                : "/run/berth-runtime";
  }
  BERTH_ASSIGN(globals.root, absolute_path(globals.root));
  return globals;
}

int dispatch(const Args& args) {
  if (args.is_set("version")) {
    print(std::string("berth-runtime version ") + kVersion + "\nspec: 1.2.0\n");
    return 0;
  }
  if (args.is_set("help") || args.words.empty() || args.words[0] == "help") {
    help();
    return args.words.empty() && !args.is_set("help") ? 1 : 0;
  }
  auto globals = globals_of(args);
  if (globals)
    if (auto usable = check_log(args); !usable) globals = usable.error();
  if (!globals) {
    std::fprintf(stderr, "berth-runtime: %s\n", globals.error().message().c_str());
    return 1;
  }
  for (const Command& command : kCommands) {
    if (args.words[0] != command.name) continue;
    if (args.words.size() > 1 && (args.words[1] == "--help" || args.words[1] == "-h")) {
      print(std::string("Usage: berth-runtime ") + command.name + " " + command.help + "\n");
      return 0;
    }
    const auto code = command.run(*globals, Words(args.words.begin() + 1, args.words.end()));
    if (code) return code.value();
    log_error(args, code.error().message());
    if (code.error().call == "exec") return container::exit_code_of_exec_failure(code.error());
    return 1;
  }
  log_error(args, "unknown command: " + args.words[0]);
  return 1;
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) {
  using namespace berth::cli;
  if (argc > 0 && is_init(argv[0])) return init_main(argc, argv);
  if (const auto sealed = seal_program(argv); !sealed)
    std::fprintf(stderr, "berth-runtime: %s\n", sealed.error().message().c_str());
#ifdef BERTH_HAS_MONITOR
  if (argc > 1 && std::string(argv[1]) == "monitor") return berth::monitor::main(argc - 1, argv + 1);
#endif
  const auto args = parse_args(Words(argv + 1, argv + argc), kGlobalFlags, true);
  if (!args) {
    std::fprintf(stderr, "berth-runtime: %s\n", args.error().message().c_str());
    return 1;
  }
  return dispatch(args.value());
}
