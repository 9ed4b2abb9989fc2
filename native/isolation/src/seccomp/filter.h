// OCI's linux.seccomp as a BPF program for seccomp(2).
//
// Compiled here and not by libseccomp, which takes 9 to 15 ms for the default profile on the development machine and makes
// a list that the kernel walks from the top; ours takes about 0.2 ms and is a search tree. libseccomp gives the numbers of
// the calls; the tests hold both programs against each other.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "oci/spec.h"

namespace berth::seccomp {

struct Program {
  std::vector<sock_filter> code;
  uint32_t flags = 0;      // SECCOMP_FILTER_FLAG_*
  bool notifies = false;   // some action is SCMP_ACT_NOTIFY: install() gives a listener
};

/// Compiles a profile for the native architecture and those it names. Meaning, as libseccomp and runc have it:
/// - a rule without arguments outweighs those with arguments of the same call; else the first that matches counts;
/// - all arguments of a rule must match; one that names the same index twice means either;
/// - names that no architecture knows are passed over;
/// - calls of an architecture that is not named kill the thread;
/// - where the default denies, calls newer than any the profile names fail with ENOSYS, so that programs fall back.
/// EINVAL names the field; E2BIG if it is longer than the kernel takes (4096 instructions).
Result<Program> compile(const oci::Seccomp& profile);

/// Puts it into force for the calling thread (call it last before execve; no_new_privs or CAP_SYS_ADMIN is needed). The
/// descriptor is the listener if program.notifies, else invalid. Allocates nothing on success.
Result<UniqueFd> install(const Program& program);

}  // namespace berth::seccomp
