#include "monitor/loop.h"

#include <algorithm>
#include <ctime>

namespace berth::monitor {

namespace {
constexpr int kBatch = 64;
constexpr int64_t kNsPerMs = 1000000;
}  // namespace

int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void Watch::bind(Loop* loop, int fd, Handler handler) {
  off();
  loop_ = loop;
  fd_ = fd;
  handler_ = std::move(handler);
}

bool Watch::watch(uint32_t events) {
  if (loop_ == nullptr) return false;
  if (registered_ && events_ == events) return true;
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  const int operation = registered_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(loop_->epoll_.get(), operation, fd_, &event) != 0) return false;
  registered_ = true;
  events_ = events;
  return true;
}

void Watch::off() {
  if (!registered_) return;
  epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  registered_ = false;
  loop_->forget(this);
}

Result<void> Loop::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return sys_error("epoll_create1");
  return {};
}

Loop::TimerId Loop::after(int64_t delay_ms, std::function<void()> call) {
  const TimerId id{monotonic_ns() + delay_ms * kNsPerMs, ++serial_};
  timers_.emplace(id, std::move(call));
  return id;
}

void Loop::cancel(TimerId& timer) {
  timers_.erase(timer);
  timer = kNoTimer;
}

void Loop::forget(const Watch* watch) {
  for (int i = 0; i < batch_size_; i++)
    if (batch_[i].data.ptr == watch) batch_[i].data.ptr = nullptr;
}

int Loop::wait_ms(int limit) const {
  if (!deferred_.empty()) return 0;
  if (timers_.empty()) return limit;
  // Rounded up: waking a moment early would spin until the deadline.
  const int64_t left = std::max<int64_t>(0, timers_.begin()->first.first - monotonic_ns());
  const int ms = static_cast<int>(std::min<int64_t>((left + kNsPerMs - 1) / kNsPerMs, 1 << 30));
  return limit < 0 ? ms : std::min(ms, limit);
}

void Loop::fire_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= monotonic_ns()) {
    auto call = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    call();
  }
}

void Loop::settle() {
  // Objects die last, when no deferred call can still speak of them.
  while (!deferred_.empty()) {
    auto calls = std::exchange(deferred_, {});
    for (auto& call : calls) call();
  }
  auto dead = std::exchange(graveyard_, {});
  dead.clear();
}

void Loop::turn(int max_wait_ms) {
  epoll_event events[kBatch];
  const int count = epoll_wait(epoll_.get(), events, kBatch, wait_ms(max_wait_ms));
  batch_ = events;
  batch_size_ = std::max(count, 0);
  for (int i = 0; i < batch_size_; i++) {
    auto* watch = static_cast<Watch*>(events[i].data.ptr);
    if (watch != nullptr) watch->handler_(events[i].events);
  }
  batch_ = nullptr;
  batch_size_ = 0;
  fire_timers();
  settle();
}

void Loop::run() {
  while (!stopped_) turn(-1);
  settle();
}

}  // namespace berth::monitor
