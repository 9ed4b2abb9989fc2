// A process's standard input: a pipe or a terminal, fed by any number of clients.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "monitor/loop.h"

namespace berth::monitor {

class InputSink {
 public:
  /// What pull() found: `more` it moved bytes and may be called again; `empty` the client has sent nothing more yet;
  /// `full` the process does not read (on_room will be called); `eof` the client will send nothing more (or has gone);
  /// `closed` nobody reads this input any more.
  enum class Pulled { more, empty, full, eof, closed };

  void open(Loop* loop, UniqueFd fd, bool terminal, std::function<void()> on_room);
  [[nodiscard]] bool is_open() const { return fd_.valid(); }
  /// Moves bytes from a client's socket. Into a pipe they are spliced: no copy, and none that would have to be kept.
  Pulled pull(int socket);
  /// Bytes that came in one piece with a request. All are taken; they go before anything pulled later.
  void push(const char* data, size_t size);
  /// End of file once everything taken has been written. A terminal has no such thing and stays open.
  void close_when_written();
  void close();

 private:
  Pulled pull_pipe(int socket);
  Pulled pull_terminal(int socket);
  void wait_for_room();
  void ready(uint32_t events);
  bool write_pending();

  Loop* loop_ = nullptr;
  UniqueFd fd_;
  Watch watch_;
  bool terminal_ = false;
  bool closing_ = false;
  std::string pending_;
  std::function<void()> on_room_;
};

}  // namespace berth::monitor
