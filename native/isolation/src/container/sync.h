// The conversation between launch()/exec() and the process they make: small datagrams over a socketpair, which closes
// itself on execve, so that end-of-file after "go" means that execve worked.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace berth::container {

/// First byte of each datagram.
enum class Message : char {
  error = 'e',     // child: set-up failed, payload is the Error
  map_me = 'u',    // stage process: I am in a new user namespace, write its maps
  mapped = 'M',    // parent: done
  pid = 'p',       // stage process: payload is the container's first process, as decimal
  terminal = 't',  // child: the pty's master rides along
  cgroup = 'c',    // parent: you are in your cgroup; payload is your pid on the host
  hooks = 'h',     // child: mounts stand, run prestart and createRuntime hooks
  hooked = 'H',    // parent: done
  ready = 'r',     // child: all that is left is execve
  go = 'x',        // parent: execve
};

struct Received {
  bool end = false;  // the other side is gone
  Message kind = Message::error;
  std::string payload;
  UniqueFd fd;
};

class Sync {
 public:
  Sync() = default;
  explicit Sync(UniqueFd fd) : fd_(std::move(fd)) {}
  static Result<std::pair<Sync, Sync>> make_pair();

  /// Sends one message, with a descriptor if `fd` >= 0. Never raises SIGPIPE.
  Result<void> send(Message kind, std::string_view payload = {}, int fd = -1);
  Result<void> send_error(const Error& error);
  /// Blocks for one message. A received `error` is returned as the Error.
  Result<Received> receive();
  /// Blocks for one message of this kind; anything else, or the end, is an Error.
  Result<Received> expect(Message kind);

  [[nodiscard]] int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

}  // namespace berth::container
