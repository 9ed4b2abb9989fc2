#include "stream/http_output.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>

namespace berth::stream {
namespace {

constexpr uint8_t kLineEnd[] = {'\r', '\n'};
constexpr uint8_t kZeros[4096] = {};

size_t put_size(char (&line)[24], uint64_t size) {
  return static_cast<size_t>(std::snprintf(line, sizeof line, "%llx\r\n", static_cast<unsigned long long>(size)));
}

}  // namespace

Result<void> HttpOutput::write(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return {};
  char line[24];
  const size_t line_size = put_size(line, bytes.size());
  iovec parts[3] = {{line, line_size},
                    {const_cast<uint8_t*>(bytes.data()), bytes.size()},
                    {const_cast<uint8_t*>(kLineEnd), sizeof kLineEnd}};
  for (size_t first = 0; first < 3;) {
    msghdr message{};
    message.msg_iov = parts + first;
    message.msg_iovlen = 3 - first;
    ssize_t count = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      BERTH_TRY(interrupt_.wait(fd_, POLLOUT, -1));
      continue;
    }
    if (count < 0) return sys_error("send", "connection");
    for (; first < 3 && static_cast<size_t>(count) >= parts[first].iov_len; ++first) count -= static_cast<ssize_t>(parts[first].iov_len);
    if (first == 3) break;
    parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + count;
    parts[first].iov_len -= static_cast<size_t>(count);
  }
  return {};
}

Result<void> HttpOutput::put(std::span<const uint8_t> bytes, bool more) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      BERTH_TRY(interrupt_.wait(fd_, POLLOUT, -1));
      continue;
    }
    if (count < 0) return sys_error("send", "connection");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> HttpOutput::send_file(int file, uint64_t offset, uint64_t length) {
  if (length == 0) return {};
  char line[24];
  const size_t line_size = put_size(line, length);
  BERTH_TRY(put({reinterpret_cast<const uint8_t*>(line), line_size}, true));
  auto at = static_cast<off_t>(offset);
  while (length > 0) {
    const ssize_t count = ::sendfile(fd_, file, &at, std::min<uint64_t>(length, 1u << 20));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      BERTH_TRY(interrupt_.wait(fd_, POLLOUT, -1));
      continue;
    }
    if (count < 0) return sys_error("sendfile", "connection");
    if (count == 0) break;
    length -= static_cast<uint64_t>(count);
  }
  // The chunk's size has been told.
  for (; length > 0; length -= std::min<uint64_t>(length, sizeof kZeros)) {
    BERTH_TRY(put({kZeros, std::min<uint64_t>(length, sizeof kZeros)}, true));
  }
  return put(kLineEnd, false);
}

}  // namespace berth::stream
