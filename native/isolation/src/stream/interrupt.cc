#include "stream/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>

namespace berth::stream {

Result<Interrupt> Interrupt::create() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return sys_error("eventfd");
  return Interrupt(std::move(event));
}

void Interrupt::call_off() const noexcept { (void)::eventfd_write(event_.get(), 1); }

Result<void> Interrupt::wait(int fd, short events, int timeout_ms) const {
  pollfd polled[2] = {{event_.get(), POLLIN, 0}, {fd, events, 0}};
  for (;;) {
    const int ready = ::poll(polled, 2, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return sys_error("poll");
    if (polled[0].revents != 0) return Error{ECANCELED, "poll", "stream", {}};
    if (ready == 0) return Error{ETIMEDOUT, "poll", "stream", {}};
    return {};
  }
}

}  // namespace berth::stream
