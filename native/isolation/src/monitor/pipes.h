// The pipes and /dev/null that a process gets as its standard streams.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "container/launch.h"
#include "monitor/process_io.h"

namespace berth::monitor {

/// Wanted size of an output pipe, in bytes: large enough that writer and monitor seldom wait for each other, small
/// enough to stay in the processor's cache. The kernel may refuse; its 64 KiB then do.
inline constexpr int kPipeSize = 256 << 10;

struct ProcessStreams {
  container::Stdio theirs;
  StreamEnds ours;
};

/// With a terminal nothing is made: launch() makes the pty. `stdin_open` false gives /dev/null as standard input.
Result<ProcessStreams> make_streams(bool terminal, bool stdin_open);

}  // namespace berth::monitor
