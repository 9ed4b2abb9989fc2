// Reading and writing control group files: always relative to a directory fd, one write(2) a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::cgroup {

/// The parts between separators; empty parts are left out.
std::vector<std::string_view> split(std::string_view text, char separator);

/// Without white space at both ends.
std::string_view trim(std::string_view text);

/// A decimal number, or `fallback` for "max" and whatever else is not a number.
uint64_t to_number(std::string_view text, uint64_t fallback);

/// The value behind `key` in lines of "key value" (memory.stat, cpu.stat), or `fallback`.
uint64_t keyed(std::string_view text, std::string_view key, uint64_t fallback = 0);

/// A whole (small) file, at most 16 MiB.
Result<std::string> read_path(const std::string& path);

/// One group's directory in one hierarchy.
class Directory {
 public:
  Directory() = default;
  Directory(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  /// Opens (O_PATH) the directory `path`, which must not be a symbolic link.
  static Result<Directory> open(const std::string& path);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] bool has(const char* file) const;
  /// O_CLOEXEC is added.
  [[nodiscard]] Result<UniqueFd> open_file(const char* file, int flags) const;
  [[nodiscard]] Result<std::string> read(const char* file) const;
  /// A file with one number; 0 if it is missing or says "max" (statistics of what a host does not have are zero).
  [[nodiscard]] uint64_t number(const char* file) const;
  /// One write(2) of the whole value, as the kernel takes each write for itself. The Error names file and value.
  [[nodiscard]] Result<void> write(const char* file, std::string_view value) const;

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace berth::cgroup
