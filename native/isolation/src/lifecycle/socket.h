// Unix sockets by paths of any length.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace berth::lifecycle {

/// A listening SOCK_SEQPACKET socket made at `path`, 0600.
Result<UniqueFd> listen_at(const std::string& path);
/// Connects to one.
Result<UniqueFd> connect_to(const std::string& path);

}  // namespace berth::lifecycle
