// The native package's version, as `--version` and `features` tell it.
#pragma once

namespace berth {
inline constexpr const char* kVersion = "0.1.0";
}
