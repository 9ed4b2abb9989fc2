// Any request line, and any monitor.json: no crash, and every refusal says why.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "monitor/answer.h"
#include "monitor/config.h"
#include "monitor/request.h"
#include "oci/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = berth::monitor::parse_request(text);
  if (!request.ok()) {
    // Whatever was in the request, the answer is one line of JSON.
    const std::string line = berth::monitor::error_line(request.error(), 126);
    if (line.find('\n') != std::string::npos || !berth::oci::parse_json(line).ok()) std::abort();
  }
  (void)berth::monitor::parse_config(text);
  return 0;
}
