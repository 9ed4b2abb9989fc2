// Times as Docker writes them.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace berth::monitor {

/// Nanoseconds since the epoch, CLOCK_REALTIME.
int64_t realtime_ns();

/// Writes RFC 3339 in UTC with up to nine digits of fraction, trailing zeros left out (Go's time.RFC3339Nano, which
/// Docker's log and API use). The calendar part is kept between calls: within one second only digits are written.
class TimeFormatter {
 public:
  /// The text is valid until the next call.
  std::string_view format(int64_t ns);

 private:
  int64_t second_ = INT64_MIN;
  char text_[48] = {};
};

std::string rfc3339(int64_t ns);

}  // namespace berth::monitor
