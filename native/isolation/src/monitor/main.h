// Mode `monitor` of berth-runtime.
#pragma once

namespace berth::monitor {

/// `monitor --bundle DIR --listen-fd N --report-fd N`; argv[0] is "monitor". Returns in the caller's process at once: 0,
/// or 2 with a message on standard error if the arguments are wrong. What happens later goes to the report fd.
int main(int argc, char** argv);

}  // namespace berth::monitor
