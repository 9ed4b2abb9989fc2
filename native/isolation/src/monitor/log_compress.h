// gzip of rotated log files, in a process of its own so that the container's streams never wait for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace berth::monitor {

/// Forks a process that compresses `source` into `target` and exits 0 when all is on its way to the disk. `comment` goes
/// into the gzip header: "INODE:BIRTH_NS:END", by which readers know the file again. -1 if there is no process to be had.
pid_t start_compressor(int source, int target, const std::string& comment);

/// The END of a file's comment; 0 when there is none.
uint64_t end_of_compressed(const std::string& path);

}  // namespace berth::monitor
