#include "monitor/main.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/file.h"
#include "monitor/monitor.h"
#include "monitor/time_text.h"
#include "oci/parse.h"
#include "seccomp/default_profile.h"

namespace berth::monitor {

namespace {

constexpr char kName[] = "berth-monitor";
/// Well before any container, after what the machine itself needs.
constexpr int kOomScore = -500;
/// 1,024 connections, 1,024 execs with three streams each, and some.
constexpr rlim_t kOpenFiles = 8192;

struct Arguments {
  std::string bundle;
  int listen_fd = -1, report_fd = -1;
};

bool parse_arguments(int argc, char** argv, Arguments& out) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--bundle")
      out.bundle = argv[i + 1];
    else if (flag == "--listen-fd")
      out.listen_fd = std::atoi(argv[i + 1]);
    else if (flag == "--report-fd")
      out.report_fd = std::atoi(argv[i + 1]);
    else
      return false;
  }
  return argc % 2 == 1 && !out.bundle.empty() && out.bundle[0] == '/' && out.listen_fd > 2 && out.report_fd > 2 &&
         out.listen_fd != out.report_fd && fcntl(out.listen_fd, F_GETFD) >= 0 && fcntl(out.report_fd, F_GETFD) >= 0;
}

/// Forks away from the caller: not its child, not in its session. False in the processes that are to return.
bool detach() {
  const pid_t first = fork();
  if (first != 0) return false;
  setsid();
  // A second time: a session leader could get a controlling terminal by opening one.
  if (fork() != 0) _exit(0);
  return true;
}

/// Leaves 0, 1, 2 on /dev/null, the listener on 3 and the report on 4, everything else closed.
bool arrange_descriptors(Arguments& arguments) {
  const int listener = fcntl(arguments.listen_fd, F_DUPFD_CLOEXEC, 5);
  const int report = fcntl(arguments.report_fd, F_DUPFD_CLOEXEC, 5);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (listener < 0 || report < 0 || null < 0) return false;
  for (int fd = 0; fd < 3; fd++)
    if (dup2(null, fd) < 0) return false;
  if (dup3(listener, 3, O_CLOEXEC) < 0 || dup3(report, 4, O_CLOEXEC) < 0) return false;
  close_range(5, ~0u, 0);
  arguments.listen_fd = 3;
  arguments.report_fd = 4;
  return true;
}

void ignore(int) {}

/// The container must live on when somebody signals its monitor. Handlers, not SIG_IGN, which execve would hand down.
void set_up_signals() {
  struct sigaction action {};
  action.sa_handler = ignore;
  action.sa_flags = SA_RESTART;
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU})
    sigaction(signal, &action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);  // read from a signalfd
  sigprocmask(SIG_SETMASK, &set, nullptr);
}

void raise_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kOpenFiles) return;
  limit.rlim_cur = std::min(kOpenFiles, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Makes the monitor unlikely to be the victim, without its container inheriting that.
void protect_from_oom(oci::Spec& spec) {
  const auto before = read_file("/proc/self/oom_score_adj");
  if (!before.ok() || !write_file("/proc/self/oom_score_adj", std::to_string(kOomScore)).ok()) return;
  if (spec.process && !spec.process->oom_score_adj) spec.process->oom_score_adj = std::atoi(before.value().c_str());
}

int fail_config(const Error& error, const std::string& exit_file, UniqueFd report) {
  if (!exit_file.empty()) {
    ExitRecord record;
    record.status.exit_code = 128;
    record.finished_ns = realtime_ns();
    record.error = error.message();
    (void)write_exit_record(exit_file, record);
  }
  JsonLine line;
  line.text("event", "failed").number("exitCode", 128).text("phase", "config").text("message", error.message());
  (void)write_all(report.get(), line.done() + "\n", "report");
  return 1;
}

/// For a bundle that names no profile and is to have the built-in one. config.json stays small, and there is one table of it.
Result<void> add_default_seccomp(oci::Spec& spec) {
  if (!spec.process || spec.linux_.seccomp) return {};
  const auto& capabilities = spec.process->capabilities;
  BERTH_ASSIGN(spec.linux_.seccomp,
               seccomp::default_seccomp(capabilities ? capabilities->bounding : std::vector<std::string>{}));
  return {};
}

int serve(const Arguments& arguments) {
  UniqueFd listener(arguments.listen_fd), report(arguments.report_fd);
  auto config = load_config(arguments.bundle);
  if (!config.ok()) return fail_config(config.error(), "", std::move(report));
  auto spec = oci::load_spec(arguments.bundle);
  if (!spec.ok()) return fail_config(spec.error(), config->exit_file, std::move(report));
  if (config->default_seccomp)
    if (auto added = add_default_seccomp(*spec); !added.ok())
      return fail_config(added.error(), config->exit_file, std::move(report));
  protect_from_oom(*spec);
  Monitor monitor(std::move(*config), std::move(*spec), arguments.bundle, std::move(listener), std::move(report));
  return monitor.run();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse_arguments(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: berth-runtime monitor --bundle DIR --listen-fd N --report-fd N\n");
    return 2;
  }
  if (!detach()) return 0;
  if (!arrange_descriptors(arguments)) _exit(1);
  set_up_signals();
  prctl(PR_SET_NAME, kName);
  // Orphans of execs come to this process, which can wait for them, and not to the machine's init.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  raise_open_files();
  umask(022);
  if (chdir("/") != 0) _exit(1);
  return serve(arguments);
}

}  // namespace berth::monitor
