#include "monitor/scratch.h"

#include <sys/mman.h>

namespace berth::monitor {

namespace {
constexpr size_t kTotal = Scratch::kReadSize + Scratch::kLogSize;
/// Long enough that a container which prints a line now and then does not fault its pages in anew each time.
constexpr int64_t kIdleMs = 1000;
}  // namespace

Scratch::~Scratch() {
  if (memory_ != nullptr) munmap(memory_, kTotal);
}

Result<void> Scratch::open(Loop* loop) {
  loop_ = loop;
  void* memory = mmap(nullptr, kTotal, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return sys_error("mmap", "stream buffers");
  memory_ = static_cast<char*>(memory);
  madvise(memory_, kTotal, MADV_NOHUGEPAGE);  // one byte of output must not cost 2 MiB
  return {};
}

char* Scratch::read_area() {
  used_ = true;
  if (!armed_) {
    armed_ = true;
    loop_->after(kIdleMs, [this] { check_idle(); });
  }
  return memory_;
}

void Scratch::check_idle() {
  armed_ = false;
  if (used_) {
    // One more round: idle means a whole period without use. Afterwards no timer runs at all.
    used_ = false;
    armed_ = true;
    loop_->after(kIdleMs, [this] { check_idle(); });
    return;
  }
  madvise(memory_, kTotal, MADV_DONTNEED);
  if (on_idle_) on_idle_();
}

}  // namespace berth::monitor
