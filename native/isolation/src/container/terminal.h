// A pty made inside the container, so that its name there (/dev/pts/0) is right.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace berth::container {

struct Terminal {
  UniqueFd master, slave;
};

/// Opens a new pty of the devpts instance mounted below `root` (O_PATH of the container's /).
Result<Terminal> open_terminal(int root, uint16_t rows, uint16_t cols);
/// Shows the slave as /dev/console.
Result<void> mount_console(int root, int slave);
/// Makes the slave the calling session leader's controlling terminal and its stdin, stdout and stderr.
Result<void> use_terminal(int slave);

}  // namespace berth::container
