// One container whose processes another OCI runtime makes, in the place of container/launch.h. Everything else (streams, log, exit,
// pause, limits, counters) stays with the monitor, which is the reaper of all that a runtime leaves behind when it has ended
// (PR_SET_CHILD_SUBREAPER) and finds the control group at the path that it has asked for.
//
// Life story: create() has the runtime make the container, stopped before its program; release() of what it gives starts it;
// exec() makes more processes inside; remove() takes away what the runtime keeps of it, whatever state that is in.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "container/launch.h"
#include "external/command.h"

namespace berth::external {

class Container {
 public:
  /// `directory`: a place for files of its own, which exists (in memory, gone with the bundle).
  Container(Runtime runtime, std::string id, std::string directory)
      : runtime_(std::move(runtime)), id_(std::move(id)), directory_(std::move(directory)) {}

  /// As container::launch(). What a runtime has said has "runtime create" or "runtime start" (of release()) for its Error's call.
  Result<std::unique_ptr<container::Launched>> create(const oci::Spec& spec, container::LaunchOptions options);

  /// As container::exec(); it runs when this returns. `request`: the line that asks for it. Errors: "runtime exec".
  Result<std::unique_ptr<container::Launched>> exec(std::string_view request, const oci::Process& process,
                                                    container::ExecOptions options);

  /// Signals the first process. A runtime that fails at it is passed over.
  Result<void> kill(pid_t pid, int signal);

  /// Ends what still runs and forgets it; safe to call again, and without a container. Bounded in time.
  void remove();

 private:
  friend class CreatedProcess;
  Result<void> start();
  Result<void> call(const char* what, Call call);
  [[nodiscard]] std::string log() const { return directory_ + "/log.json"; }
  /// Both runc and crun keep a container's state in a directory of its id.
  [[nodiscard]] bool known() const;

  Runtime runtime_;
  std::string id_, directory_;
  bool asked_ = false;  // to make the container: it may know of it
};

}  // namespace berth::external
