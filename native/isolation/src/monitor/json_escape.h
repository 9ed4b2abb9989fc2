// JSON string escaping exactly as Docker's json-file driver does it (and so as Go's encoding/json with HTML escaping).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace berth::monitor {

/// Most bytes that escaping `length` bytes can write, and that must be free at `out`.
constexpr size_t escaped_bound(size_t length) { return length * 6 + 16; }

/// Writes `data` as the inside of a JSON string, gives the end of what was written. `"` `\` and newline/return get
/// their short forms, other controls and `< > &` and U+2028/9 become \u00xx, bytes that are not UTF-8 one \ufffd each.
char* escape_json(char* out, const char* data, size_t length);

/// `"escaped"`, appended.
void append_json_string(std::string& out, std::string_view text);

}  // namespace berth::monitor
