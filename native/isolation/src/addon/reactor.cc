#include "addon/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vector>

#include "addon/addon.h"

namespace berth::addon {
namespace {

std::mutex registry_mutex;
std::map<napi_env, std::unique_ptr<Reactor>>& registry() {
  static auto* all = new std::map<napi_env, std::unique_ptr<Reactor>>();  // never destroyed: workers may outlive main's statics
  return *all;
}

void drop_env(void* env) {
  std::unique_ptr<Reactor> gone;
  const std::lock_guard lock(registry_mutex);
  const auto found = registry().find(static_cast<napi_env>(env));
  if (found == registry().end()) return;
  gone = std::move(found->second);
  registry().erase(found);
}

}  // namespace

struct Reactor::Watch {
  UniqueFd fd;
  std::optional<Clock::time_point> deadline;
  OnReady on_ready;
};

struct Reactor::Settled {
  uint64_t id;
  Result<std::string> result;
};

Result<Reactor*> Reactor::for_env(Napi::Env env) {
  const std::lock_guard lock(registry_mutex);
  auto& slot = registry()[env];
  if (slot) return slot.get();
  std::unique_ptr<Reactor> made(new Reactor());
  const auto started = made->start(env);
  if (!started.ok()) {
    registry().erase(env);
    return started.error();
  }
  slot = std::move(made);
  return slot.get();
}

Result<void> Reactor::start(Napi::Env env) {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) return sys_error("epoll_create1");
  struct epoll_event event {};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) return sys_error("epoll_ctl");
  call_ = Queue::New(env, "berth reactor", 0, 1, this);
  call_.Unref(env);
  // After the function's own hook was registered, so that this one runs first (hooks run last in, first out).
  napi_add_env_cleanup_hook(env, drop_env, static_cast<napi_env>(env));
  thread_ = std::thread([this] { run(); });
  return {};
}

Reactor::~Reactor() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  if (thread_.joinable()) thread_.join();
  // The deferred promises belong to an environment that is going away; their handles go with it.
  if (call_) call_.Abort();
}

void Reactor::wake() {
  const uint64_t one = 1;
  if (wake_ && ::write(wake_.get(), &one, sizeof one) < 0) return;  // EAGAIN: it is awake already
}

Result<Reactor::Handle> Reactor::watch(Napi::Env env, UniqueFd fd, int64_t deadline_ms, OnReady on_ready) {
  const uint64_t id = next_id_++;
  auto watch = std::make_unique<Watch>();
  const int raw = fd.get();
  watch->fd = std::move(fd);
  watch->on_ready = std::move(on_ready);
  if (deadline_ms >= 0) watch->deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
  {
    const std::lock_guard lock(mutex_);
    struct epoll_event event {};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, raw, &event) != 0) return sys_error("epoll_ctl");
    watches_.emplace(id, std::move(watch));
  }
  if (deadline_ms >= 0) wake();  // the thread may sleep past the new deadline
  if (pending_++ == 0) call_.Ref(env);
  const auto deferred = Napi::Promise::Deferred::New(env);
  promises_.emplace(id, deferred);
  return Handle{id, deferred.Promise()};
}

void Reactor::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = watches_.find(id);
  if (found != watches_.end()) finish(found, Error{ECANCELED, "wait", {}, {}});
}

// Under mutex_.
void Reactor::finish(std::map<uint64_t, std::unique_ptr<Watch>>::iterator found, Result<std::string> result) {
  auto settled = std::make_unique<Settled>(Settled{found->first, std::move(result)});
  watches_.erase(found);  // closes the descriptor, which takes it out of the epoll set
  if (call_.NonBlockingCall(settled.get()) == napi_ok) static_cast<void>(settled.release());
}

void Reactor::run_settled(Napi::Env env, Napi::Function, Reactor* reactor, Settled* settled) {
  const std::unique_ptr<Settled> owned(settled);
  // Without an environment the reactor has gone too.
  if (env != nullptr) reactor->settle(env, *owned);
}

void Reactor::settle(Napi::Env env, Settled& settled) {
  const auto found = promises_.find(settled.id);
  if (found == promises_.end()) return;
  const Napi::Promise::Deferred deferred = found->second;
  promises_.erase(found);
  if (--pending_ == 0) call_.Unref(env);
  if (settled.result.ok()) {
    deferred.Resolve(Napi::String::New(env, settled.result.value()));
  } else {
    deferred.Reject(to_js_error(env, settled.result.error()).Value());
  }
}

// Under mutex_: milliseconds until the next deadline, -1 for none.
int Reactor::next_timeout() {
  std::optional<Clock::time_point> first;
  for (const auto& [id, watch] : watches_) {
    if (watch->deadline && (!first || *watch->deadline < *first)) first = watch->deadline;
  }
  if (!first) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(std::min<int64_t>(left, INT32_MAX));
}

void Reactor::run() {
  for (;;) {
    int timeout = -1;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      timeout = next_timeout();
    }
    struct epoll_event events[64];
    const int count = ::epoll_wait(epoll_.get(), events, 64, timeout);
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == 0) {
        uint64_t value = 0;
        if (::read(wake_.get(), &value, sizeof value) < 0) continue;
        continue;
      }
      const auto found = watches_.find(events[i].data.u64);
      if (found == watches_.end()) continue;
      auto result = found->second->on_ready(found->second->fd.get());
      if (result) finish(found, std::move(*result));
    }
    const auto now = Clock::now();
    for (auto it = watches_.begin(); it != watches_.end();) {
      const auto current = it++;
      if (current->second->deadline && *current->second->deadline <= now) finish(current, Error{ETIMEDOUT, "wait", {}, {}});
    }
  }
}

}  // namespace berth::addon
