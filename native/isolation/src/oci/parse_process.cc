// The process object.
#include "oci/parse_parts.h"

namespace berth::oci {

namespace {

void read_user(ObjectReader& in, User& out) {
  in.read("uid", out.uid);
  in.read("gid", out.gid);
  in.read("umask", out.umask);
  in.read_numbers("additionalGids", out.additional_gids);
  in.read("username", out.username);
  if (out.umask && *out.umask > 0777) in.fail("umask", "at most 0777");
}

void read_capabilities(ObjectReader& in, Capabilities& out) {
  in.read("bounding", out.bounding);
  in.read("effective", out.effective);
  in.read("inheritable", out.inheritable);
  in.read("permitted", out.permitted);
  in.read("ambient", out.ambient);
}

void read_rlimit(ObjectReader& in, Rlimit& out) {
  in.read("type", out.type);
  in.read("soft", out.soft);
  in.read("hard", out.hard);
}

void read_scheduler(ObjectReader& in, Scheduler& out) {
  in.read("policy", out.policy);
  in.read("nice", out.nice);
  in.read("priority", out.priority);
  in.read("flags", out.flags);
  in.read("runtime", out.runtime);
  in.read("deadline", out.deadline);
  in.read("period", out.period);
}

}  // namespace

void read_process(ObjectReader& in, Process& out) {
  in.read("terminal", out.terminal);
  in.read_object("consoleSize", [&](ObjectReader& part) {
    ConsoleSize& size = out.console_size.emplace();
    part.read("height", size.height);
    part.read("width", size.width);
  });
  in.read_object("user", [&](ObjectReader& part) { read_user(part, out.user); });
  in.read("args", out.args);
  in.read("env", out.env);
  in.read("cwd", out.cwd);
  in.read_object("capabilities", [&](ObjectReader& part) { read_capabilities(part, out.capabilities.emplace()); });
  in.read_list("rlimits", out.rlimits, read_rlimit);
  in.read("noNewPrivileges", out.no_new_privileges);
  in.read("apparmorProfile", out.apparmor_profile);
  in.read("oomScoreAdj", out.oom_score_adj);
  in.read("selinuxLabel", out.selinux_label);
  in.read_object("scheduler", [&](ObjectReader& part) { read_scheduler(part, out.scheduler.emplace()); });
  in.read_object("ioPriority", [&](ObjectReader& part) {
    IoPriority& priority = out.io_priority.emplace();
    part.read("class", priority.io_class);
    part.read("priority", priority.priority);
  });
  in.read_object("execCPUAffinity", [&](ObjectReader& part) {
    ExecCpuAffinity& affinity = out.exec_cpu_affinity.emplace();
    part.read("initial", affinity.initial);
    part.read("final", affinity.final);
  });
  if (in.error()) return;
  if (out.cwd.empty() || out.cwd[0] != '/') in.fail("cwd", "an absolute path");
  if (out.oom_score_adj && (*out.oom_score_adj < -1000 || *out.oom_score_adj > 1000))
    in.fail("oomScoreAdj", "-1000 to 1000");
  for (size_t i = 0; i < out.rlimits.size(); ++i) {
    const std::string field = "rlimits[" + std::to_string(i) + "]";
    if (out.rlimits[i].soft > out.rlimits[i].hard) in.fail(field, "soft at most hard");
    for (size_t j = 0; j < i; ++j)
      if (out.rlimits[j].type == out.rlimits[i].type) in.fail(field, "each type at most once");
  }
}

}  // namespace berth::oci
