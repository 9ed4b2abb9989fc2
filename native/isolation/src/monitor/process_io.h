// The standard streams of one process (the container's own or an exec's), its clients, and the flow between them.
//
// Life story: open() takes our ends of the pipes or the terminal; clients attach() and leave; output is read, logged and
// sent until the end of file. When the process is gone, exited() gives what is still in the pipes a bounded time.
#pragma once

#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "monitor/input_sink.h"
#include "monitor/log_writer.h"
#include "monitor/loop.h"
#include "monitor/out_queue.h"
#include "monitor/scratch.h"

namespace berth::monitor {

class Connection;

/// Which streams a client takes part in.
struct Wants {
  bool in = false, out = false, err = false;
};

/// Our ends. With a terminal only `in` (its master) is given.
struct StreamEnds {
  UniqueFd in, out, err;
  bool terminal = false;
};

class ProcessIo {
 public:
  struct Options {
    Loop* loop = nullptr;
    Scratch* scratch = nullptr;
    Budget* budget = nullptr;
    LogWriter* log = nullptr;      // null: output is not logged
    bool close_stdin_once = true;  // the first client's end of input is the process's
    bool drain_at_exit = false;    // read on at exit even if a client is slow, so that the log is whole
  };

  explicit ProcessIo(Options options);
  ~ProcessIo();
  ProcessIo(const ProcessIo&) = delete;
  ProcessIo& operator=(const ProcessIo&) = delete;

  Result<void> open(StreamEnds ends);

  void attach(Connection* client, Wants wants);
  /// Output that this client alone is still to get.
  void send_to(Connection& client, int stream, std::string_view data);
  /// The client has gone, or takes no output any more.
  void detach(Connection* client);
  [[nodiscard]] const std::vector<Connection*> clients() const;

  InputSink::Pulled pull_input(int socket) { return input_.pull(socket); }
  void push_input(const char* data, size_t size) { input_.push(data, size); }
  void end_of_input();
  /// A client can take more output, or memory for it has become free.
  void resume();

  Result<void> resize(uint16_t rows, uint16_t cols);

  /// The process has exited. `on_drained` is called once: when all its output has been read, or kGraceMs have passed.
  void exited(std::function<void()> on_drained);
  /// Called when nothing more will be read, so that the clients' streams can end. May be at once.
  void on_end(std::function<void()> call) { on_end_ = std::move(call); }
  [[nodiscard]] bool ended() const { return open_outputs_ == 0; }

 private:
  struct Output {
    UniqueFd fd;
    Watch watch;
    int stream = 1;
    bool stalled = false;
  };
  struct Client {
    Connection* connection;
    Wants wants;
  };
  enum class Read { some, nothing, end };

  void pump(Output& output);
  Read read_once(Output& output, size_t limit, size_t& got);
  size_t read_limit(const Output& output);
  size_t drain_limit(const Output& output);
  void deliver(const Output& output, const char* data, size_t size);
  void close_output(Output& output);
  void grace_over();
  void tell_drained();
  static bool takes(const Client& client, int stream) { return stream == 2 ? client.wants.err : client.wants.out; }

  Options options_;
  bool terminal_ = false;
  InputSink input_;
  std::array<Output, 2> outputs_;
  int open_outputs_ = 0;
  std::vector<Client> clients_;
  bool exited_ = false;
  bool grace_over_ = false;
  Loop::TimerId grace_timer_ = Loop::kNoTimer;
  std::function<void()> on_drained_;
  std::function<void()> on_end_;
};

}  // namespace berth::monitor
