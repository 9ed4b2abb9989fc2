// Giving memory back while the container is silent.
#pragma once

namespace berth::monitor {

/// Trims the heap and unmaps the program's own read-only pages: they stay in the page cache, from where the next event
/// maps them again (a few faults). Without this the code used at start counts as the monitor's for its whole life.
void release_idle_memory();

}  // namespace berth::monitor
