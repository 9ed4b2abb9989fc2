#include "external/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>

#include "base/clone.h"
#include "base/fd.h"
#include "base/file.h"
#include "cgroup/detect.h"
#include "container/rootfs_mounts.h"
#include "container/sync.h"
#include "oci/json.h"

namespace berth::external {

namespace {

constexpr size_t kMaxLog = 1u << 20;
/// What is kept of what the program writes to its standard error, in bytes.
constexpr size_t kMaxText = 4096;

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::vector<std::string> command_line(const Runtime& runtime, const Call& call) {
  std::vector<std::string> words{runtime.path};
  words.insert(words.end(), runtime.args.begin(), runtime.args.end());
  for (const std::string& word : {std::string("--root"), runtime.root, std::string("--log"), call.log,
                                  std::string("--log-format"), std::string("json")})
    words.push_back(word);
  words.insert(words.end(), call.words.begin(), call.words.end());
  return words;
}

/// Descriptors 0, 1 and 2 of the program. The given ones may be any number, these three included.
Result<void> set_streams(const Streams& streams, int err) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return sys_error("open", "/dev/null");
  const int wanted[3] = {streams.in >= 0 ? streams.in : null.get(), streams.out >= 0 ? streams.out : null.get(), err};
  UniqueFd copies[3];
  for (int i = 0; i < 3; i++) {
    copies[i].reset(::fcntl(wanted[i], F_DUPFD_CLOEXEC, 3));
    if (!copies[i]) return sys_error("fcntl", "standard streams");
  }
  for (int i = 0; i < 3; i++)
    if (::dup2(copies[i].get(), i) < 0) return sys_error("dup2", "standard streams");
  return {};
}

/// On a hybrid host a runtime sees version 1 alone: crun refuses to work where version 2 has any controller beside it (a kernel
/// that is newer than the host's set-up leaves some there), and nothing that is asked of a runtime needs the unified group.
Result<void> hide_unified() {
  BERTH_ASSIGN(const cgroup::Layout layout, cgroup::detect_layout());
  if (layout.mode != cgroup::Mode::hybrid) return {};
  for (const cgroup::Hierarchy& hierarchy : layout.hierarchies) {
    if (!hierarchy.unified) continue;
    BERTH_TRY(container::make_parent_private(hierarchy.mount_point.substr(0, hierarchy.mount_point.rfind('/') + 1)));
    if (::umount2(hierarchy.mount_point.c_str(), MNT_DETACH) != 0) return sys_error("umount", hierarchy.mount_point);
  }
  return {};
}

/// The new process's life. Gives the Error that ended it.
Error become(const Runtime& runtime, const Call& call, int err) {
  // A monitor that is killed takes what it has under way with it; what that has made so far ends by its control group.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // A group of its own, to be killed with all helpers.
  ::setpgid(0, 0);
  auto ready = [&]() -> Result<void> {
    if (::unshare(CLONE_NEWNS) != 0) return sys_error("unshare", "mount namespace");
    BERTH_TRY(hide_unified());
    if (call.prepare) BERTH_TRY(call.prepare());
    return set_streams(call.streams, err);
  }();
  if (!ready) return ready.error();
  // The monitor's own is not the container's.
  (void)write_file("/proc/self/oom_score_adj", std::to_string(call.oom_score_adj));
  const std::vector<std::string> words = command_line(runtime, call);
  std::vector<char*> args;
  for (const std::string& word : words) args.push_back(const_cast<char*>(word.c_str()));
  args.push_back(nullptr);
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char* env[] = {path, nullptr};
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // What the caller holds is no business of the program, nor of the container that would inherit it.
  ::syscall(SYS_close_range, 3u, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */);
  ::execve(runtime.path.c_str(), args.data(), env);
  return Error{errno, "fork/exec", runtime.path, ""};
}

/// Reads `from` until the process has ended; false if it takes too long.
bool await(int pidfd, UniqueFd& from, const Call& call, std::string& text) {
  const int64_t deadline = now_ms() + call.timeout_ms;
  int watched = call.watched;
  char block[1024];
  for (;;) {
    pollfd entries[3] = {{pidfd, POLLIN, 0}, {from ? from.get() : -1, POLLIN, 0}, {watched, POLLIN, 0}};
    const int64_t left = deadline - now_ms();
    if (left <= 0) return false;
    if (::poll(entries, 3, static_cast<int>(std::min<int64_t>(left, 1 << 30))) < 0 && errno != EINTR) return false;
    if ((entries[2].revents & POLLIN) != 0) {
      call.on_readable();
      watched = -1;
    }
    // All that is there before the end is looked at: what it has written stays in the pipe.
    ssize_t got = 0;
    while (from && (got = ::read(from.get(), block, sizeof block)) > 0)
      if (text.size() < kMaxText) text.append(block, static_cast<size_t>(got));
    if (from && got == 0) from.reset();
    if ((entries[0].revents & POLLIN) != 0) return true;
  }
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  return text;
}

std::string ending(int status) {
  return WIFSIGNALED(status) ? std::string("signal: ") + ::strsignal(WTERMSIG(status))
                             : "exit status " + std::to_string(WEXITSTATUS(status));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

Error runtime_error(const Runtime& runtime, std::string text) { return Error{EIO, "runtime", runtime.path, std::move(text)}; }

/// What containerd says where the runtime itself has left no word.
std::string without_word(const std::string& log, const std::string& why) {
  const bool there = ::access(log.c_str(), F_OK) == 0;
  return there ? why : "unable to retrieve OCI runtime error (open " + log + ": no such file or directory): " + why;
}

}  // namespace

std::string last_error(const std::string& log) {
  const auto read = read_file(log, kMaxLog);
  if (!read) return "";
  const std::string_view text = read.value();
  std::string found;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const oci::Json line = oci::Json::parse(text.substr(at, end - at), nullptr, false);
    if (line.is_object() && line.value("level", oci::Json()) == "error" && line.contains("msg") && line["msg"].is_string())
      found = trimmed(line["msg"].get<std::string>());
    at = end + 1;
  }
  return found;
}

int exit_code_of_text(const std::string& text) {
  const std::string low = lower(text);
  const auto has = [&](const char* words) { return low.find(words) != std::string::npos; };
  if (has("permission denied") || has("is a directory")) return 126;
  return has("not a directory") || has("executable file not found") || has("no such file or directory") ? 127 : 128;
}

Result<void> call(const Runtime& runtime, const Call& call) {
  ::unlink(call.log.c_str());
  int pipe[2] = {-1, -1};
  UniqueFd text_end, child_end;
  if (call.streams.err < 0) {
    if (::pipe2(pipe, O_CLOEXEC) != 0) return sys_error("pipe2", "standard error");
    text_end.reset(pipe[0]);
    child_end.reset(pipe[1]);
    ::fcntl(text_end.get(), F_SETFL, O_NONBLOCK);
  }
  BERTH_ASSIGN(auto ends, container::Sync::make_pair());
  int number = -1;
  const pid_t pid = clone_process(0, SIGCHLD, &number, -1);
  if (pid < 0) return sys_error("clone3", runtime.path);
  if (pid == 0) {
    ends.first.close();
    (void)ends.second.send_error(become(runtime, call, call.streams.err < 0 ? child_end.get() : call.streams.err));
    ::_exit(127);
  }
  const UniqueFd pidfd(number);
  ends.second.close();
  child_end.reset();
  std::string text;
  const bool ended = await(pidfd.get(), text_end, call, text);
  if (!ended && ::kill(-pid, SIGKILL) != 0) ::kill(pid, SIGKILL);
  const int status = wait_for(pid);
  if (!ended) return runtime_error(runtime, runtime.path + " did not end within " + std::to_string(call.timeout_ms / 1000) + " s");
  // End of file: it has become the program.
  const auto said = ends.first.receive();
  if (!said) {
    const Error& error = said.error();
    if (error.call != "fork/exec") return error;
    return runtime_error(runtime, without_word(call.log, "fork/exec " + runtime.path + ": " + lower(std::strerror(error.code))));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string own = last_error(call.log);
  if (!own.empty()) return runtime_error(runtime, std::move(own));
  const std::string plain = trimmed(text);
  return runtime_error(runtime, without_word(call.log, runtime.path + " did not terminate successfully: " + ending(status) +
                                                            (plain.empty() ? "" : ": " + plain)));
}

}  // namespace berth::external
