#include "monitor/log_encoder.h"

#include <algorithm>
#include <cstring>

#include "monitor/json_escape.h"

namespace berth::monitor {

namespace {
constexpr std::string_view kHead = "{\"log\":\"";
}  // namespace

LineEncoder::LineEncoder(const char* stream, RecordSink* sink, std::string attributes, bool compact)
    : stream_(stream), sink_(sink), attributes_(std::move(attributes)), compact_(compact) {}

void LineEncoder::build_tail(std::string& out, std::string_view time, bool newline) const {
  out.clear();
  if (newline) out += "\\n";
  out += "\",\"stream\":\"";
  out += stream_;
  out += '"';
  if (!attributes_.empty()) out += ",\"attrs\":" + attributes_;
  out += ",\"time\":\"";
  out += time;
  out += "\"}\n";
}

void LineEncoder::prepare(int64_t time_ns) {
  if (time_ns == tail_time_) return;
  tail_time_ = time_ns;
  if (!compact_) build_tail(tail_, formatter_.format(time_ns), true);
}

void LineEncoder::emit_compact(const char* data, size_t size, bool whole) {
  if (!in_partial_) partial_time_ = tail_time_;
  in_partial_ = !whole;
  auto* at = reinterpret_cast<unsigned char*>(sink_->reserve());
  const unsigned char* const start = at;
  const auto length = static_cast<uint32_t>(size + (whole ? 1 : 0));
  auto put = [&at](uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *at++ = static_cast<unsigned char>(value >> (8 * i));
  };
  put(length, 4);
  *at++ = static_cast<unsigned char>((stream_[3] == 'e' ? kCompactStderr : 0) | (whole ? 0 : kCompactGoesOn));
  put(static_cast<uint64_t>(partial_time_), 8);
  std::memcpy(at, data, size);
  at += size;
  if (whole) *at++ = '\n';
  put(length, 4);
  sink_->commit(static_cast<size_t>(at - start));
}

void LineEncoder::emit(const char* data, size_t size, bool whole) {
  if (compact_) return emit_compact(data, size, whole);
  if (!whole && !in_partial_) {
    in_partial_ = true;
    build_tail(partial_, formatter_.format(tail_time_), false);
  }
  char* const start = sink_->reserve();
  std::memcpy(start, kHead.data(), kHead.size());
  char* end = escape_json(start + kHead.size(), data, size);
  if (!in_partial_) {
    std::memcpy(end, tail_.data(), tail_.size());
    end += tail_.size();
  } else {
    if (whole) {  // the last piece of a long line: its \n, and still the time of the first piece
      std::memcpy(end, "\\n", 2);
      end += 2;
      in_partial_ = false;
    }
    std::memcpy(end, partial_.data(), partial_.size());
    end += partial_.size();
  }
  sink_->commit(static_cast<size_t>(end - start));
}

size_t LineEncoder::complete_rest(const char* data, size_t size) {
  const size_t take = std::min(size, kMaxLogPiece - rest_.size());
  const auto* newline = static_cast<const char*>(std::memchr(data, '\n', take));
  const size_t length = newline != nullptr ? static_cast<size_t>(newline - data) : take;
  rest_.append(data, length);
  if (newline != nullptr) {
    emit(rest_.data(), rest_.size(), true);
    rest_.clear();
    return length + 1;
  }
  if (rest_.size() == kMaxLogPiece) {
    emit(rest_.data(), rest_.size(), false);
    rest_.clear();
  }
  return length;
}

void LineEncoder::append(const char* data, size_t size, int64_t time_ns) {
  prepare(time_ns);
  const char* const end = data + size;
  while (!rest_.empty() && data < end) data += complete_rest(data, static_cast<size_t>(end - data));
  while (data < end) {
    const size_t look = std::min(static_cast<size_t>(end - data), kMaxLogPiece);
    const auto* newline = static_cast<const char*>(std::memchr(data, '\n', look));
    if (newline != nullptr) {
      emit(data, static_cast<size_t>(newline - data), true);
      data = newline + 1;
    } else if (look == kMaxLogPiece) {
      emit(data, look, false);
      data += look;
    } else {
      rest_.assign(data, look);
      return;
    }
  }
}

void LineEncoder::finish(int64_t time_ns) {
  if (rest_.empty()) return;
  prepare(time_ns);
  emit(rest_.data(), rest_.size(), false);
  rest_.clear();
  in_partial_ = false;
}

}  // namespace berth::monitor
