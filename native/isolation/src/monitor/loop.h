// The monitor's event loop: one thread, epoll, one-shot timers. Nothing in it polls; with nothing to do it sleeps for good.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace berth::monitor {

class Loop;

/// One descriptor's place in the loop. Not registered until watch() is called; leaves the loop when destroyed.
/// The handler may destroy the object that owns the Watch only through Loop::dispose().
class Watch {
 public:
  using Handler = std::function<void(uint32_t events)>;

  Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { off(); }

  void bind(Loop* loop, int fd, Handler handler);
  /// Waits for `events` (0: only errors and hang-ups, which the kernel always tells). False if the kernel refuses.
  bool watch(uint32_t events);
  /// Leaves the loop: a descriptor that has hung up would otherwise wake it for ever.
  void off();
  [[nodiscard]] bool registered() const { return registered_; }

 private:
  friend class Loop;
  Loop* loop_ = nullptr;
  int fd_ = -1;
  uint32_t events_ = 0;
  bool registered_ = false;
  Handler handler_;
};

class Loop {
 public:
  using TimerId = std::pair<int64_t, uint64_t>;  // deadline in ns of CLOCK_MONOTONIC, and a serial number
  static constexpr TimerId kNoTimer{0, 0};

  Result<void> open();

  /// Calls once, `delay_ms` from now.
  TimerId after(int64_t delay_ms, std::function<void()> call);
  /// Forgets a timer (none, or one that has fired, is fine) and sets it to kNoTimer.
  void cancel(TimerId& timer);
  /// Calls once, when the events at hand have been handled.
  void defer(std::function<void()> call) { deferred_.push_back(std::move(call)); }
  /// Destroys an object when the events at hand have been handled, so that it may be running right now.
  template <typename T>
  void dispose(std::unique_ptr<T> object) {
    graveyard_.push_back(std::shared_ptr<void>(std::move(object)));
  }

  /// Runs until stop().
  void run();
  void stop() { stopped_ = true; }
  /// Handles what is ready now, waits at most `max_wait_ms` (-1: for ever) for it. Used by run() and by tests.
  void turn(int max_wait_ms);

 private:
  friend class Watch;
  void settle();
  [[nodiscard]] int wait_ms(int limit) const;
  void fire_timers();
  void forget(const Watch* watch);

  UniqueFd epoll_;
  bool stopped_ = false;
  uint64_t serial_ = 0;
  std::map<TimerId, std::function<void()>> timers_;
  std::vector<std::function<void()>> deferred_;
  std::vector<std::shared_ptr<void>> graveyard_;
  epoll_event* batch_ = nullptr;  // the events being handled
  int batch_size_ = 0;
};

/// CLOCK_MONOTONIC in ns.
int64_t monotonic_ns();

}  // namespace berth::monitor
