#include "monitor/process_io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>

#include "monitor/connection.h"

namespace berth::monitor {

namespace {

/// How long after the exit a process outside the container's reach may hold the pipe (Docker waits as long).
constexpr int64_t kGraceMs = 2000;
/// Most that is read from one stream before others get their turn, in bytes.
constexpr size_t kTurn = 1u << 20;
/// Reading less than this at a time is not worth a system call: the stream waits instead.
constexpr size_t kLeastRead = 4096;
/// Kept free for the container's own output at its exit: two full pipes (see kPipeSize in pipes.h) and a read.
constexpr size_t kExitReserve = 640u << 10;
constexpr size_t kHeaderSize = 8;

/// An operation on one of our ends must never block the loop.
bool make_nonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/// Engine API, attach: stream, three zero bytes, size of what follows as big-endian.
void fill_header(unsigned char* header, int stream, size_t size) {
  header[0] = static_cast<unsigned char>(stream);
  header[1] = header[2] = header[3] = 0;
  for (int i = 0; i < 4; i++) header[4 + i] = static_cast<unsigned char>(size >> (24 - 8 * i));
}

}  // namespace

ProcessIo::ProcessIo(Options options) : options_(options) {}

ProcessIo::~ProcessIo() { options_.loop->cancel(grace_timer_); }

Result<void> ProcessIo::open(StreamEnds ends) {
  terminal_ = ends.terminal;
  auto on_room = [this] {
    for (Connection* client : clients()) client->resume_input();
  };
  for (int fd : {ends.in.get(), ends.out.get(), ends.err.get()})
    if (fd >= 0 && !make_nonblocking(fd)) return sys_error("fcntl", "stdio");
  if (terminal_) {
    // The loop knows a descriptor, not a direction, so each direction of the terminal gets one.
    ends.out.reset(fcntl(ends.in.get(), F_DUPFD_CLOEXEC, 3));
    if (!ends.out) return sys_error("fcntl", "terminal");
  }
  if (ends.in) input_.open(options_.loop, std::move(ends.in), terminal_, on_room);
  UniqueFd* const fds[2] = {&ends.out, &ends.err};
  for (int i = 0; i < 2; i++) {
    Output& output = outputs_[static_cast<size_t>(i)];
    output.stream = i + 1;
    output.fd = std::move(*fds[i]);
    if (!output.fd) continue;
    output.watch.bind(options_.loop, output.fd.get(), [this, &output](uint32_t) { pump(output); });
    if (!output.watch.watch(EPOLLIN)) return sys_error("epoll_ctl", "stdio");
    open_outputs_++;
  }
  return {};
}

void ProcessIo::attach(Connection* client, Wants wants) { clients_.push_back({client, wants}); }

void ProcessIo::detach(Connection* client) {
  std::erase_if(clients_, [client](const Client& c) { return c.connection == client; });
  resume();
}

const std::vector<Connection*> ProcessIo::clients() const {
  std::vector<Connection*> list;
  for (const Client& client : clients_) list.push_back(client.connection);
  return list;
}

void ProcessIo::end_of_input() {
  if (options_.close_stdin_once) input_.close_when_written();
}

void ProcessIo::resume() {
  for (Output& output : outputs_) {
    if (!std::exchange(output.stalled, false)) continue;
    if (!output.watch.watch(EPOLLIN)) close_output(output);
  }
  if (grace_over_ && open_outputs_ > 0) grace_over();
}

Result<void> ProcessIo::resize(uint16_t rows, uint16_t cols) {
  const Output& output = outputs_[0];
  if (!terminal_ || !output.fd) return Error{ENOTTY, "resize", "", "the process has no terminal"};
  winsize size{};
  size.ws_row = rows;
  size.ws_col = cols;
  if (ioctl(output.fd.get(), TIOCSWINSZ, &size) != 0) return sys_error("ioctl", "terminal size");
  return {};
}

size_t ProcessIo::read_limit(const Output& output) {
  // The log may say that it has no room: `log-shipped` goes on from here.
  if (options_.log != nullptr && options_.log->blocked()) return 0;
  size_t limit = Scratch::kReadSize;
  bool has_client = false;
  for (const Client& client : clients_) {
    if (!takes(client, output.stream)) continue;
    has_client = true;
    limit = std::min(limit, client.connection->room());
  }
  if (!has_client || limit == 0) return limit;
  // Room in every socket was asked for just now, so hardly anything is ever kept; but "hardly" needs a bound.
  const size_t available = options_.budget->available(options_.drain_at_exit ? 0 : kExitReserve);
  if (available >= kLeastRead + kHeaderSize) return std::min(limit, available - kHeaderSize);
  options_.budget->starve();
  return 0;
}

size_t ProcessIo::drain_limit(const Output& output) {
  const size_t available = options_.budget->available(0);
  if (available >= kLeastRead + kHeaderSize) return std::min(Scratch::kReadSize, available - kHeaderSize);
  // More than the pipes held came after the exit, from outside, and a client still does not read: it goes.
  for (const Client& client : clients_)
    if (takes(client, output.stream)) client.connection->drop_if_behind();
  return kLeastRead;
}

ProcessIo::Read ProcessIo::read_once(Output& output, size_t limit, size_t& got) {
  char* const area = options_.scratch->read_area();
  const ssize_t count = ::read(output.fd.get(), area, limit);
  if (count > 0) {
    got = static_cast<size_t>(count);
    if (options_.log != nullptr) options_.log->append(output.stream, area, got);
    deliver(output, area, got);
    return Read::some;
  }
  if (count < 0 && errno == EINTR) return Read::some;
  if (count < 0 && errno == EAGAIN) return grace_over_ ? Read::end : Read::nothing;
  return Read::end;  // end of file; EIO is how a terminal says so
}

void ProcessIo::pump(Output& output) {
  size_t turn = 0;
  while (turn < kTurn && output.fd) {
    const size_t limit = exited_ && options_.drain_at_exit ? drain_limit(output) : read_limit(output);
    if (limit == 0) {
      output.stalled = true;
      output.watch.off();
      break;
    }
    size_t got = 0;
    const Read read = read_once(output, limit, got);
    turn += got;
    if (read == Read::end) {
      close_output(output);
      return;
    }
    // A pipe gives less than was asked for when it is empty: the next read would only say EAGAIN.
    if (read == Read::nothing || (got < limit && !exited_)) break;
  }
  if (options_.log != nullptr) options_.log->flush();
}

void ProcessIo::deliver(const Output& output, const char* data, size_t size) {
  unsigned char header[kHeaderSize];
  iovec pieces[2] = {{header, 0}, {const_cast<char*>(data), size}};
  if (!terminal_) {
    fill_header(header, output.stream, size);
    pieces[0].iov_len = kHeaderSize;
  }
  SharedChunk kept;  // made once, by the first client that does not take it all
  for (const Client& client : clients_)
    if (takes(client, output.stream)) client.connection->send_output(pieces, kept, options_.budget);
}

void ProcessIo::send_to(Connection& client, int stream, std::string_view data) {
  const auto found = std::find_if(clients_.begin(), clients_.end(),
                                  [&](const Client& known) { return known.connection == &client; });
  if (found == clients_.end() || !takes(*found, stream)) return;
  unsigned char header[kHeaderSize];
  iovec pieces[2] = {{header, 0}, {const_cast<char*>(data.data()), data.size()}};
  if (!terminal_) {
    fill_header(header, stream, data.size());
    pieces[0].iov_len = kHeaderSize;
  }
  SharedChunk kept;
  client.send_output(pieces, kept, options_.budget);
}

void ProcessIo::close_output(Output& output) {
  output.watch.off();
  output.fd.reset();
  output.stalled = false;
  if (options_.log != nullptr) options_.log->finish(output.stream);
  if (--open_outputs_ > 0) return;
  if (exited_) tell_drained();
  if (on_end_) options_.loop->defer(std::exchange(on_end_, nullptr));
}

void ProcessIo::exited(std::function<void()> on_drained) {
  exited_ = true;
  on_drained_ = std::move(on_drained);
  input_.close();
  if (options_.drain_at_exit) resume();
  for (Output& output : outputs_)
    if (output.fd && !output.stalled) pump(output);
  if (open_outputs_ == 0) {
    tell_drained();
    return;
  }
  grace_timer_ = options_.loop->after(kGraceMs, [this] {
    grace_timer_ = Loop::kNoTimer;
    grace_over();
  });
}

void ProcessIo::grace_over() {
  // From now on an empty pipe counts as ended, whoever still holds it. A stream that waits for a slow client goes on.
  grace_over_ = true;
  for (Output& output : outputs_)
    if (output.fd && !output.stalled) pump(output);
  tell_drained();
}

void ProcessIo::tell_drained() {
  options_.loop->cancel(grace_timer_);
  if (on_drained_) options_.loop->defer(std::exchange(on_drained_, nullptr));
}

}  // namespace berth::monitor
