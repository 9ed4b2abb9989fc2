#include <csignal>
#include <string>

#include "lifecycle/lifecycle.h"

namespace berth::lifecycle {

namespace {

struct Name {
  const char* name;
  int number;
};
constexpr Name kNames[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT},     {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"IOT", SIGABRT},    {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV},   {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
    {"TERM", SIGTERM},     {"STKFLT", 16},      {"CHLD", SIGCHLD},     {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},
    {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},   {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"POLL", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS},
};
// The kernel's range: glibc keeps the first two real-time signals to itself.
constexpr int kRtMin = 34, kRtMax = 64;

}  // namespace

Result<int> signal_number(const std::string& text) {
  const auto unknown = [&] { return bad_input("signal", "a number from 1 to 64 or a name, got \"" + text + "\""); };
  std::string name;
  for (const char c : text) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos && name.size() <= 3) {
    const int number = std::atoi(name.c_str());
    if (number > 64) return unknown();
    return number;
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const Name& known : kNames)
    if (name == known.name) return known.number;
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return unknown();
  const std::string rest = name.substr(5);
  int offset = 0;
  if (!rest.empty()) {
    if (rest[0] != (from_min ? '+' : '-') || rest.size() > 3 || rest.size() < 2 ||
        rest.find_first_not_of("0123456789", 1) != std::string::npos)
      return unknown();
    offset = std::atoi(rest.c_str() + 1);
  }
  const int number = from_min ? kRtMin + offset : kRtMax - offset;
  if (number < kRtMin || number > kRtMax) return unknown();
  return number;
}

}  // namespace berth::lifecycle
