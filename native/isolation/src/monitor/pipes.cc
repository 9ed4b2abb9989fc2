#include "monitor/pipes.h"

#include <fcntl.h>
#include <unistd.h>

namespace berth::monitor {

namespace {

Result<void> make_pipe(UniqueFd& read_end, UniqueFd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return sys_error("pipe2", "stdio");
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
  fcntl(fds[0], F_SETPIPE_SZ, kPipeSize);  // EPERM over the user's quota: the default size works too
  return {};
}

}  // namespace

Result<ProcessStreams> make_streams(bool terminal, bool stdin_open) {
  ProcessStreams streams;
  streams.ours.terminal = terminal;
  if (terminal) return streams;
  if (stdin_open) {
    BERTH_TRY(make_pipe(streams.theirs.in, streams.ours.in));
  } else {
    streams.theirs.in.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!streams.theirs.in) return sys_error("open", "/dev/null");
  }
  BERTH_TRY(make_pipe(streams.ours.out, streams.theirs.out));
  BERTH_TRY(make_pipe(streams.ours.err, streams.theirs.err));
  return streams;
}

}  // namespace berth::monitor
