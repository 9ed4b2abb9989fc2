#include "monitor/log_compress.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"

namespace berth::monitor {

namespace {

constexpr size_t kBlock = 128u << 10;
/// zlib: a window of 32 KiB, and a gzip header.
constexpr int kGzip = 15 + 16;
/// Fast: the file is read by people now and then, and the container's processor is not ours.
constexpr int kLevel = 3;
/// Bytes of a gzip header before the comment, when that is all it has (RFC 1952).
constexpr size_t kFixedHeader = 10;

bool put(int target, const unsigned char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = ::write(target, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool compress(int source, int target, const std::string& comment) {
  z_stream stream{};
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
  std::string text = comment;
  gz_header header{};
  header.os = 3;  // Unix
  header.comment = reinterpret_cast<Bytef*>(text.data());
  deflateSetHeader(&stream, &header);
  static unsigned char in[kBlock], out[kBlock];
  for (bool last = false; !last;) {
    const ssize_t got = ::read(source, in, sizeof in);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    last = got == 0;
    stream.next_in = in;
    stream.avail_in = static_cast<uInt>(got);
    do {
      stream.next_out = out;
      stream.avail_out = sizeof out;
      deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
      if (!put(target, out, sizeof out - stream.avail_out)) return false;
    } while (stream.avail_out == 0);
  }
  return fsync(target) == 0;  // the plain file goes once this one has its name
}

}  // namespace

pid_t start_compressor(int source, int target, const std::string& comment) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  // Nothing of the monitor's may be held open here: an end of a pipe that lives on is an end of file that never comes.
  if (dup2(source, 0) < 0 || dup2(target, 1) < 0) _exit(1);
  close_range(2, ~0u, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "berth-log-gzip");
  setpriority(PRIO_PROCESS, 0, 19);
  _exit(compress(0, 1, comment) ? 0 : 1);
}

uint64_t end_of_compressed(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return 0;
  char head[128] = {};
  if (pread(file.get(), head, sizeof head - 1, 0) <= static_cast<ssize_t>(kFixedHeader)) return 0;
  const char* const end = std::strrchr(head + kFixedHeader, ':');
  return end == nullptr ? 0 : std::strtoull(end + 1, nullptr, 10);
}

}  // namespace berth::monitor
