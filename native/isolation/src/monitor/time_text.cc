#include "monitor/time_text.h"

#include <cstdio>

namespace berth::monitor {

namespace {
constexpr int64_t kNsPerSecond = 1000000000;
constexpr size_t kSecondsLength = 19;  // 2026-01-02T03:04:05
}  // namespace

int64_t realtime_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

std::string_view TimeFormatter::format(int64_t ns) {
  int64_t second = ns / kNsPerSecond;
  int64_t fraction = ns % kNsPerSecond;
  if (fraction < 0) {
    fraction += kNsPerSecond;
    second--;
  }
  if (second != second_) {
    const time_t time = static_cast<time_t>(second);
    tm utc{};
    gmtime_r(&time, &utc);
    // The clock of a machine is within four-digit years; the mask only tells the compiler so.
    std::snprintf(text_, sizeof text_, "%04u-%02u-%02uT%02u:%02u:%02u", unsigned(utc.tm_year + 1900) % 10000u,
                  unsigned(utc.tm_mon + 1) % 100u, unsigned(utc.tm_mday) % 100u, unsigned(utc.tm_hour) % 100u,
                  unsigned(utc.tm_min) % 100u, unsigned(utc.tm_sec) % 100u);
    second_ = second;
  }
  char* end = text_ + kSecondsLength;
  if (fraction != 0) {
    *end = '.';
    for (int i = 9; i >= 1; i--) {
      end[i] = static_cast<char>('0' + fraction % 10);
      fraction /= 10;
    }
    end += 10;
    while (end[-1] == '0') end--;
  }
  *end++ = 'Z';
  return {text_, static_cast<size_t>(end - text_)};
}

std::string rfc3339(int64_t ns) {
  TimeFormatter formatter;
  return std::string(formatter.format(ns));
}

}  // namespace berth::monitor
