// Connections that are handed over, and the bodies of HTTP on them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "stream/handover.h"
#include "stream/http_input.h"
#include "stream/http_output.h"

using namespace berth;
using namespace berth::stream;

namespace {

struct Pair {
  UniqueFd ours, theirs;
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
    REQUIRE(::fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
  }
  void say(std::string_view text) const { REQUIRE(::write(theirs.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())); }
};

Interrupt interrupt() {
  auto made = Interrupt::create();
  REQUIRE(made.ok());
  return std::move(made).value();
}

struct Read {
  std::string text;
  std::string failure;
  bool reusable = false;
};

/// Reads a whole body, `step` bytes at a time, of which `head` has been read before.
Read read_all(std::string head, const std::vector<std::string>& rest, size_t step) {
  const Pair pair;
  const Interrupt never = interrupt();
  std::thread writer([&] {
    for (const std::string& part : rest) pair.say(part);
    ::shutdown(pair.theirs.get(), SHUT_WR);
  });
  Read read;
  auto input = HttpInput::create(pair.ours.get(), never, std::move(head));
  if (!input.ok()) read.failure = input.error().detail;
  std::vector<uint8_t> buffer(step);
  while (input.ok()) {
    const auto count = input->read(buffer);
    if (!count.ok()) read.failure = count.error().detail;
    if (!count.ok() || count.value() == 0) break;
    read.text.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count.value()));
  }
  if (input.ok() && read.failure.empty()) read.reusable = input->skim(1024, 100);
  writer.join();
  return read;
}

}  // namespace

TEST_CASE("a body in chunks, however it comes") {
  const std::string body = "5\r\nhello\r\n6;name=\"v\"\r\n world\r\n00001 \r\n!\r\n0\r\nX-Trailer: a\r\n\r\n";
  for (size_t step : {1u, 3u, 64u, 65536u}) {
    for (size_t cut = 0; cut <= body.size(); ++cut) {
      const Read read = read_all("c" + body.substr(0, cut), {body.substr(cut)}, step);
      CHECK_MESSAGE(read.text == "hello world!", "cut at ", cut, ", steps of ", step, ": ", read.failure);
      CHECK(read.reusable);
    }
    std::vector<std::string> bytes;
    for (char c : body) bytes.emplace_back(1, c);
    CHECK(read_all("c", bytes, step).text == "hello world!");
  }
}

TEST_CASE("what comes behind a body is seen, and not taken for it") {
  const Read chunked = read_all("c", {"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"}, 100);
  CHECK(chunked.text == "a");
  CHECK_FALSE(chunked.reusable);
  const Read counted = read_all("l0000000000000003ab", {"cGET"}, 100);
  CHECK(counted.text == "abc");
  CHECK(counted.reusable);  // the rest is still in the connection
}

TEST_CASE("bodies that are none") {
  CHECK(read_all("c", {"zzz\r\n"}, 10).failure == "invalid byte in chunk length");
  CHECK(read_all("c", {"\r\n"}, 10).failure == "invalid byte in chunk length");
  CHECK(read_all("c", {"-1\r\n"}, 10).failure == "invalid byte in chunk length");
  CHECK(read_all("c", {"1234567890abcdef1\r\n"}, 10).failure == "http chunk length too large");
  CHECK(read_all("c", {"1\r\nab\r\n"}, 10).failure == "malformed chunked encoding");
  CHECK(read_all("c", {std::string(10'000, '1')}, 10).failure == "header line too long");
  std::string trailers = "0\r\n";
  for (int i = 0; i < 10'000; ++i) trailers += "X-Many: trailers\r\n";
  CHECK(read_all("c", {trailers}, 10).failure == "header line too long");
  CHECK(read_all("c", {"5\r\nhel"}, 10).failure.find("left") != std::string::npos);
  CHECK(read_all("l0000000000000005hel", {}, 10).failure.find("left") != std::string::npos);
  for (const char* head : {"", "x", "l12", "l000000000000000gabc"}) CHECK(read_all(head, {}, 10).failure == "unknown framing");
}

TEST_CASE("a wait that is called off") {
  const Pair pair;
  const Interrupt off = interrupt();
  auto input = HttpInput::create(pair.ours.get(), off, "c");
  REQUIRE(input.ok());
  std::thread caller([&] { off.call_off(); });
  uint8_t byte;
  const auto count = input->read({&byte, 1});
  caller.join();
  REQUIRE_FALSE(count.ok());
  CHECK(count.error().code == ECANCELED);
}

TEST_CASE("skimming has its bounds") {
  const Pair pair;
  const Interrupt never = interrupt();
  auto input = HttpInput::create(pair.ours.get(), never, "c");
  REQUIRE(input.ok());
  pair.say("5\r\nhello\r\n");
  CHECK_FALSE(input->skim(100, 20));  // nothing more comes
  pair.say("0\r\n\r\n");
  CHECK(input->skim(100, 1000));
  const Read read = read_all("c", {"3e8\r\n" + std::string(1000, 'x') + "\r\n"}, 1);
  CHECK(read.text.size() == 1000);
}

TEST_CASE("an answer in chunks, through a full socket") {
  const Pair pair;
  const Interrupt never = interrupt();
  char name[] = "/tmp/berth-stream-XXXXXX";
  const UniqueFd file(::mkstemp(name));
  REQUIRE(file.valid());
  ::unlink(name);
  const std::string content(3'000'000, 'f');
  REQUIRE(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  const std::vector<uint8_t> piece(700'000, 'p');
  std::thread writer([&] {
    HttpOutput output(pair.ours.get(), never);
    CHECK(output.write(piece).ok());
    CHECK(output.write({}).ok());  // no chunk: an empty one would end the body
    CHECK(output.send_file(file.get(), 1'000'000, 1'500'000).ok());
    CHECK(output.send_file(file.get(), 2'999'990, 20).ok());  // shorter than was told
    const std::string end = "0\r\n\r\n";
    ::shutdown(pair.ours.get(), SHUT_WR);
  });
  // Read by the other half: both speak of the same bytes.
  REQUIRE(::fcntl(pair.theirs.get(), F_SETFL, O_NONBLOCK) == 0);
  auto input = HttpInput::create(pair.theirs.get(), never, "c");
  REQUIRE(input.ok());
  std::string got;
  std::vector<uint8_t> buffer(50'000);
  for (;;) {
    const auto count = input->read(buffer);
    if (!count.ok()) {
      CHECK(count.error().code == ECONNRESET);
      break;
    }
    got.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count.value()));
  }
  writer.join();
  CHECK(got == std::string(700'000, 'p') + std::string(1'500'000, 'f') + std::string(10, 'f') + std::string(10, '\0'));
}

TEST_CASE("a client that has gone fails the answer") {
  Pair pair;
  const Interrupt never = interrupt();
  pair.theirs.reset();
  HttpOutput output(pair.ours.get(), never);
  const std::vector<uint8_t> piece(10, 'p');
  const auto written = output.write(piece);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == EPIPE);
}

TEST_CASE("a connection is handed over with what was read of it") {
  char directory[] = "/tmp/berth-inbox-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  const std::string path = std::string(directory) + "/inbox";
  const Interrupt never = interrupt();
  const Pair pair;
  {
    auto inbox = Inbox::open(path);
    REQUIRE(inbox.ok());
    CHECK(inbox->take(never, 20).error().code == ETIMEDOUT);
    const std::string head = "c" + std::string(100'000, 'h');
    REQUIRE(hand_over(path, pair.ours.get(), head).ok());
    auto taken = inbox->take(never, 1000);
    REQUIRE(taken.ok());
    CHECK(taken->head == head);
    pair.say("x");
    char byte;
    CHECK(::read(taken->fd.get(), &byte, 1) == 1);
    // One that blocks would hold up its owner.
    REQUIRE(hand_over(path, pair.theirs.get(), "c").ok());
    CHECK(inbox->take(never, 1000).error().code == EPROTO);
    CHECK(hand_over(path, pair.ours.get(), std::string(kMaxHead + 1, 'h')).error().code == EMSGSIZE);
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
  CHECK(hand_over(path, pair.ours.get(), "c").error().code == ENOENT);
  ::rmdir(directory);
}
