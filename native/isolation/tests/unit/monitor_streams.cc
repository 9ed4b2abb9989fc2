// Streams between a process's pipes and its clients' sockets, on real pipes and sockets: framing, end of file,
// back-pressure in both directions, and the bound on what is kept.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <unordered_map>

#include "monitor/connection.h"
#include "monitor/process_io.h"

using namespace berth;
using namespace berth::monitor;

namespace {

void nonblocking(int fd) { REQUIRE(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0); }

/// What can be read now, at most `limit`.
std::string read_some(int fd, size_t limit = SIZE_MAX) {
  std::string text;
  char buffer[65536];
  while (text.size() < limit) {
    const ssize_t got = read(fd, buffer, std::min(sizeof buffer, limit - text.size()));
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

/// Writes until the other side takes no more.
size_t fill(int fd) {
  const std::string block(65536, 'f');
  size_t total = 0;
  for (ssize_t n; (n = write(fd, block.data(), block.size())) > 0;) total += static_cast<size_t>(n);
  return total;
}

std::string frame(int stream, const std::string& data) {
  std::string header(8, '\0');
  header[0] = static_cast<char>(stream);
  for (int i = 0; i < 4; i++) header[4 + i] = static_cast<char>(data.size() >> (24 - 8 * i));
  return header + data;
}

struct Bed final : ConnectionOwner {
  Bed() {
    signal(SIGPIPE, SIG_IGN);  // as in the monitor: writing to what nobody reads is an error, not the end
    REQUIRE(loop.open().ok());
    REQUIRE(scratch.open(&loop).ok());
    context.loop = &loop;
    context.scratch = &scratch;
    context.owner = this;
  }

  void make_io(bool once = true, bool drain_at_exit = false) {
    io = std::make_unique<ProcessIo>(ProcessIo::Options{&loop, &scratch, &budget, nullptr, once, drain_at_exit});
    StreamEnds ends;
    UniqueFd* ours[3] = {&ends.in, &ends.out, &ends.err};
    for (int i = 0; i < 3; i++) {
      int fds[2];
      REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
      ours[i]->reset(i == 0 ? fds[1] : fds[0]);
      process[i].reset(i == 0 ? fds[0] : fds[1]);
      nonblocking(process[i].get());
    }
    REQUIRE(io->open(std::move(ends)).ok());
  }

  /// A client that has sent its request; wants is what the request would have said.
  UniqueFd client(Wants wants, const std::string& request = "go\n") {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    REQUIRE(write(fds[1], request.data(), request.size()) == static_cast<ssize_t>(request.size()));
    next = wants;
    auto owned = std::make_unique<Connection>(&context, UniqueFd(fds[0]));
    Connection* const connection = owned.get();
    connections.emplace(connection, std::move(owned));
    REQUIRE(connection->start());
    settle();
    return UniqueFd(fds[1]);
  }

  void on_request(Connection& connection, std::string_view line) override {
    requests.emplace_back(line);
    if (line == "answer") {
      connection.send_line("answer");
      connection.finish();
    } else {
      connection.start_stream(io.get(), next);
    }
  }
  void on_closed(Connection& connection) override {
    auto found = connections.find(&connection);
    REQUIRE(found != connections.end());
    loop.dispose(std::move(found->second));
    connections.erase(found);
  }

  /// Lets everything happen that can.
  void settle() {
    for (int i = 0; i < 20; i++) loop.turn(0);
  }
  void put(int stream, const std::string& text) {
    REQUIRE(write(process[stream].get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    settle();
  }

  Loop loop;
  Scratch scratch;
  Budget budget;
  ConnectionContext context;
  std::unique_ptr<ProcessIo> io;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections;
  UniqueFd process[3];
  Wants next;
  std::vector<std::string> requests;
};

constexpr Wants kAll{true, true, true};
constexpr Wants kOutput{false, true, true};

}  // namespace

TEST_CASE("output is framed, and only what a client wants is sent to it") {
  Bed bed;
  bed.make_io();
  const UniqueFd both = bed.client(kOutput), errors = bed.client({false, false, true});
  bed.put(1, "out");
  bed.put(2, "err");
  CHECK(read_some(both.get()) == frame(1, "out") + frame(2, "err"));
  CHECK(read_some(errors.get()) == frame(2, "err"));
}

TEST_CASE("input behind the request comes first, a half-close is end of file") {
  Bed bed;
  bed.make_io();
  const UniqueFd client = bed.client(kAll, "go\nfirst ");
  REQUIRE(write(client.get(), "second", 6) == 6);
  REQUIRE(shutdown(client.get(), SHUT_WR) == 0);
  bed.settle();
  CHECK(read_some(bed.process[0].get()) == "first second");
  char byte;
  CHECK(read(bed.process[0].get(), &byte, 1) == 0);
  bed.put(1, "still here");
  CHECK(read_some(client.get()) == frame(1, "still here"));
}

TEST_CASE("without stdinOnce the input outlives its clients") {
  Bed bed;
  bed.make_io(false);
  {
    const UniqueFd client = bed.client(kAll);
    REQUIRE(write(client.get(), "a", 1) == 1);
    bed.settle();
  }
  bed.settle();
  CHECK(bed.connections.empty());
  const UniqueFd second = bed.client(kAll);
  REQUIRE(write(second.get(), "b", 1) == 1);
  bed.settle();
  CHECK(read_some(bed.process[0].get()) == "ab");
  char byte;
  CHECK(read(bed.process[0].get(), &byte, 1) == -1);
}

TEST_CASE("a process that does not read stops its client, and everything arrives in the end") {
  Bed bed;
  bed.make_io();
  UniqueFd client = bed.client(kAll);
  size_t sent = 0;
  for (size_t more = 1; more > 0; sent += more) {
    more = fill(client.get());
    bed.settle();
  }
  CHECK(sent < (2u << 20));
  const int64_t before = monotonic_ns();
  bed.loop.turn(30);  // sleeps: nothing spins while both wait
  CHECK(monotonic_ns() - before > 20 * 1000000);
  client.reset();     // gone altogether, its input is not lost
  std::string got;
  for (int i = 0; i < 1000 && got.size() < sent; i++) {
    got += read_some(bed.process[0].get());
    bed.settle();
  }
  CHECK(got.size() == sent);
  char byte;
  CHECK(read(bed.process[0].get(), &byte, 1) == 0);
  CHECK(bed.connections.empty());
}

TEST_CASE("a client that does not read stops the process, others lose nothing, little is kept") {
  Bed bed;
  bed.make_io();
  const UniqueFd slow = bed.client(kOutput), fast = bed.client(kOutput);
  size_t sent = 0;
  std::string fast_got;
  for (size_t more = 1; more > 0; sent += more) {
    more = fill(bed.process[1].get());
    bed.settle();
    fast_got += read_some(fast.get());
  }
  CHECK(sent < (1u << 20));
  CHECK(bed.budget.used() <= Budget::kLimit);
  const int64_t before = monotonic_ns();
  bed.loop.turn(30);
  CHECK(monotonic_ns() - before > 20 * 1000000);
  std::string slow_got;
  for (int i = 0; i < 100; i++) {
    slow_got += read_some(slow.get());
    bed.settle();
    fast_got += read_some(fast.get());
  }
  CHECK(slow_got.size() > sent);  // frames
  CHECK(slow_got == fast_got);
  CHECK(bed.budget.used() == 0);
}

TEST_CASE("a slow client that goes lets the process run on") {
  Bed bed;
  bed.make_io();
  UniqueFd slow = bed.client(kOutput);
  for (size_t more = 1; more > 0;) {
    more = fill(bed.process[1].get());
    bed.settle();
  }
  slow.reset();
  bed.settle();
  CHECK(fill(bed.process[1].get()) > 0);
  CHECK(bed.budget.used() == 0);
  CHECK(bed.connections.empty());
}

TEST_CASE("after the exit the rest is read whatever a client does") {
  Bed bed;
  bed.make_io(true, true);
  const UniqueFd slow = bed.client(kOutput);
  size_t sent = 0;
  for (size_t more = 1; more > 0; sent += more) {
    more = fill(bed.process[1].get());
    bed.settle();
  }
  for (auto& end : bed.process) end.reset();
  bool drained = false;
  bed.io->exited([&] { drained = true; });
  bed.settle();
  CHECK(drained);
  CHECK(bed.io->ended());
  CHECK(bed.budget.used() <= Budget::kLimit);
  for (auto& [connection, owned] : bed.connections) connection->finish();
  std::string got;
  for (int i = 0; i < 100; i++) {
    got += read_some(slow.get());
    bed.settle();
  }
  CHECK(got.size() > sent);
  CHECK(bed.connections.empty());
}

TEST_CASE("a pipe held by somebody else ends two seconds after the exit") {
  Bed bed;
  bed.make_io();
  bool drained = false;
  const int64_t start = monotonic_ns();
  bed.io->exited([&] { drained = true; });
  while (!drained) bed.loop.turn(-1);
  const int64_t ms = (monotonic_ns() - start) / 1000000;
  CHECK(ms >= 1990);
  CHECK(ms < 4000);
  CHECK(bed.io->ended());
}

TEST_CASE("requests may come in pieces, and are bounded") {
  Bed bed;
  bed.make_io();
  const UniqueFd pieces = bed.client(kAll, "ans");
  CHECK(bed.requests.empty());
  REQUIRE(write(pieces.get(), "wer\nignored", 11) == 11);
  bed.settle();
  REQUIRE(bed.requests.size() == 1);
  CHECK(bed.requests[0] == "answer");
  CHECK(read_some(pieces.get()) == "answer\n");
  char byte;
  CHECK(read(pieces.get(), &byte, 1) == 0);  // an end of file, not ECONNRESET

  const UniqueFd large = bed.client(kAll, "x");
  size_t sent = 0;
  for (size_t more = 1; more > 0 && sent < (4u << 20); sent += more) {
    more = fill(large.get());
    bed.settle();
  }
  CHECK(read_some(large.get()).find("EMSGSIZE") != std::string::npos);
  CHECK(bed.connections.empty());
  CHECK(bed.context.request_bytes == 0);
}

TEST_CASE("a request that does not come is not waited for") {
  Bed bed;
  bed.make_io();
  bed.context.request_ms = 20;
  const UniqueFd silent = bed.client(kAll, ""), half = bed.client(kAll, "hal"), whole = bed.client(kOutput);
  while (bed.connections.size() > 1) bed.loop.turn(-1);
  CHECK(read_some(silent.get()).find("ETIMEDOUT") != std::string::npos);
  CHECK(read_some(half.get()).find("ETIMEDOUT") != std::string::npos);
  CHECK(bed.context.request_bytes == 0);
  bed.put(1, "on");
  CHECK(read_some(whole.get()) == frame(1, "on"));
}

TEST_CASE("timers fire in order, cancelled ones do not, deferred calls may destroy") {
  Loop loop;
  REQUIRE(loop.open().ok());
  std::string order;
  loop.after(20, [&] { order += 'b'; });
  loop.after(5, [&] { order += 'a'; });
  auto never = loop.after(10, [&] { order += 'x'; });
  loop.cancel(never);
  CHECK(never == Loop::kNoTimer);
  while (order.size() < 2) loop.turn(-1);
  CHECK(order == "ab");
  auto object = std::make_shared<int>(1);
  std::weak_ptr<int> watch = object;
  loop.dispose(std::make_unique<std::shared_ptr<int>>(std::move(object)));
  CHECK_FALSE(watch.expired());
  loop.turn(0);
  CHECK(watch.expired());
}
