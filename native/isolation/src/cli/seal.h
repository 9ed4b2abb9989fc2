#pragma once

#include "base/result.h"

namespace berth::cli {

/// Runs the program again from a read-only view of its own file, unless it is one already. A process of the container
/// may get hold of /proc/PID/exe of the process that is about to become its sibling, and with root's rights could
/// overwrite the program on the host through it (CVE-2019-5736); a read-only mount refuses that, and costs less than
/// a copy in memory. Returns where that is not possible (old kernel): the caller goes on.
Result<void> seal_program(char** argv);

}  // namespace berth::cli
