#include "monitor/time_text.h"

#include <chrono>
#include <cstring>

namespace berth::monitor {

namespace {
constexpr int64_t kNsPerSecond = 1000000000;
constexpr size_t kSecondsLength = 19;  // 2026-01-02T03:04:05
void put_number(char* out, int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

/// YYYY-MM-DDTHH:MM:SS. By hand: gmtime() reads the machine's time zone file first, which is I/O at every start.
void write_calendar(char* out, int64_t second) {
  using namespace std::chrono;
  const sys_seconds time{seconds(second)};
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::memcpy(out, "0000-00-00T00:00:00", kSecondsLength);
  put_number(out, static_cast<int>(date.year()), 4);
  put_number(out + 5, static_cast<unsigned>(date.month()), 2);
  put_number(out + 8, static_cast<unsigned>(date.day()), 2);
  put_number(out + 11, clock.hours().count(), 2);
  put_number(out + 14, clock.minutes().count(), 2);
  put_number(out + 17, clock.seconds().count(), 2);
}

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
    write_calendar(text_, second);
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
