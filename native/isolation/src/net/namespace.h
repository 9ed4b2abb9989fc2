// Work inside another network namespace, on a thread of its own: a thread that has changed namespace is never reused.
#pragma once

#include <functional>

#include "base/fd.h"
#include "base/result.h"
#include "net/netlink.h"

namespace berth::net {

/// Runs `work` on a new thread that has joined the namespace; waits for it.
Result<void> run_inside(int namespace_fd, const std::function<Result<void>()>& work);

/// Sets an interface up.
Result<void> set_up(Socket& socket, const std::string& name);

}  // namespace berth::net
