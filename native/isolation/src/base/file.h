// Small files, whole: read with a bound, write in one call. For /proc, /sys and state files.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace berth {

/// The content of a file, at most `max_bytes` (EFBIG beyond); O_CLOEXEC.
Result<std::string> read_file(const std::string& path, size_t max_bytes = 1u << 20);
/// The same from an open descriptor, from its current offset; `name` is for errors.
Result<std::string> read_fd(int fd, const std::string& name, size_t max_bytes = 1u << 20);
/// Opens an existing file for writing and writes `data` with one write(): what /proc and /sys files want.
Result<void> write_file(const std::string& path, std::string_view data);
/// write() until all is written; EINTR is retried.
Result<void> write_all(int fd, std::string_view data, const std::string& name);
/// Replaces a file: temporary beside it, rename. `sync` adds fsync of the file before and of the directory after.
Result<void> replace_file(const std::string& path, std::string_view data, unsigned mode, bool sync);
/// mkdir -p.
Result<void> make_directories(const std::string& path, unsigned mode);

}  // namespace berth
