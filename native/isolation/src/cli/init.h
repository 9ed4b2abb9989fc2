// `docker run --init`: the program's second face, a container's first process.
#pragma once

namespace berth::cli {

/// True when the program was started as docker-init (argv[0]), as which it is bound into containers.
bool is_init(const char* program) noexcept;

/// Runs `argv` behind "--" as its one child, hands signals on to it, reaps whatever else ends, and returns the child's exit code:
/// 128 + the signal where one ended it, 127 or 126 where it could not be started. Allocates nothing.
int init_main(int argc, char** argv) noexcept;

}  // namespace berth::cli
