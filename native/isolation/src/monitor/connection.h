// One client's connection: a bounded request line, then its answer, then (for some requests) a stream or events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "monitor/loop.h"
#include "monitor/out_queue.h"
#include "monitor/process_io.h"
#include "monitor/scratch.h"

namespace berth::monitor {

/// Longest request line, and most that all unfinished ones may hold together, in bytes.
inline constexpr size_t kMaxRequest = 1u << 20;
inline constexpr size_t kMaxRequests = 16u << 20;

class Connection;

/// Who answers. A connection is destroyed by its owner, through Loop::dispose, once on_closed has been called.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_request(Connection& connection, std::string_view line) = 0;
  virtual void on_closed(Connection& connection) = 0;
};

/// What all connections share.
struct ConnectionContext {
  Loop* loop = nullptr;
  Scratch* scratch = nullptr;
  ConnectionOwner* owner = nullptr;
  size_t request_bytes = 0;  // held by unfinished requests
  int64_t request_ms = 10000;  // a request must be whole within this time
};

class Connection {
 public:
  Connection(ConnectionContext* context, UniqueFd fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Registers and reads what has been sent already. False if the kernel refuses to watch it.
  bool start();

  // For whoever answers the request:
  /// Sends a line (without its \n). Does not close.
  void send_line(std::string_view line);
  /// Becomes the stream of a process: input that came with the request goes in first.
  void start_stream(ProcessIo* io, Wants wants);
  /// Stays open for further send_line()s; what the client sends is ignored.
  void start_events() { state_ = State::events; update(); }
  /// Ends the connection once everything has been sent.
  void finish();
  /// The container has gone: its streams, subscriptions and unfinished requests end; streams of other processes go on.
  void end_unless_exec(const ProcessIo* container);
  /// Closes if nothing can be sent for this long.
  void close_if_stuck(int64_t ms);

  // For the process's streams:
  /// Bytes that can be sent without being kept; 0 if none, and then ProcessIo::resume() will be called.
  size_t room();
  /// Sends pieces (header, data); what the socket does not take is kept, in `kept` if another client made it already.
  void send_output(const iovec (&pieces)[2], SharedChunk& kept, Budget* budget);
  void resume_input();
  void drop_if_behind();

  [[nodiscard]] bool closed() const { return state_ == State::closed; }

 private:
  enum class State { request, stream, events, closing, closed };

  void ready(uint32_t events);
  void hung_up();
  void read_request();
  bool take_request_bytes(const char* data, size_t size);
  void refuse(int code, std::string_view message);
  void drain_input();
  bool discard_input();
  void input_ended();
  void flush();
  void fail();
  void close();
  void update();
  void check_stuck();

  ConnectionContext* context_;
  UniqueFd fd_;
  Watch watch_;
  State state_ = State::request;
  std::string request_;
  OutQueue out_;
  ProcessIo* io_ = nullptr;
  Wants wants_;
  bool input_paused_ = false;   // the process does not read
  bool input_eof_ = false;
  bool hung_up_ = false;        // the client has gone altogether
  bool broken_ = false;         // hung_up() is about to be called
  bool want_room_ = false;      // the process's output waits for this client
  int send_buffer_ = 0;         // SO_SNDBUF
  size_t progress_ = 0;         // bytes sent from the queue
  size_t progress_seen_ = 0;
  int64_t stuck_ms_ = 0;
  Loop::TimerId timer_ = Loop::kNoTimer;
};

}  // namespace berth::monitor
