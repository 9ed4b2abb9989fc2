// v2 has no device files: a small eBPF program attached to the group decides (Linux 4.15).
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "cgroup/devices.h"

namespace berth::cgroup {
namespace {

/// By this name the program is known again after a restart, beside programs of others (at most 15 bytes).
constexpr char kProgramName[] = "berth_devices";
constexpr uint32_t kMaxAttached = 64;  // the kernel's own limit of programs a group

int bpf(int command, bpf_attr& attr) { return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof attr)); }

// Registers: the context comes in r1, the verdict leaves in r0.
constexpr uint8_t kType = 2, kAccess = 3, kMajor = 4, kMinor = 5, kScratch = 6;

bpf_insn make(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
  bpf_insn insn{};
  insn.code = code;
  insn.dst_reg = dst & 0xf;
  insn.src_reg = src & 0xf;
  insn.off = off;
  insn.imm = imm;
  return insn;
}

bpf_insn load_field(uint8_t dst, size_t offset) {
  return make(BPF_LDX | BPF_MEM | BPF_W, dst, 1, static_cast<int16_t>(offset), 0);
}
bpf_insn move_register(uint8_t dst, uint8_t src) { return make(BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0); }
bpf_insn alu(uint8_t operation, uint8_t dst, int32_t imm) { return make(BPF_ALU | operation | BPF_K, dst, 0, 0, imm); }
/// The offset is filled in when the end of the block is known.
bpf_insn jump_if(uint8_t condition, uint8_t dst, int32_t imm) { return make(BPF_JMP | condition | BPF_K, dst, 0, 0, imm); }

void append_verdict(std::vector<bpf_insn>& program, bool allow) {
  program.push_back(make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, allow ? 1 : 0));
  program.push_back(make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void append_exception(std::vector<bpf_insn>& program, const DeviceException& e) {
  std::vector<size_t> skips;  // jumps to behind this block
  auto skip_if = [&](uint8_t condition, uint8_t reg, int64_t value) {
    skips.push_back(program.size());
    program.push_back(jump_if(condition, reg, static_cast<int32_t>(value)));
  };
  skip_if(BPF_JNE, kType, e.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  if (e.major >= 0) skip_if(BPF_JNE, kMajor, e.major);
  if (e.minor >= 0) skip_if(BPF_JNE, kMinor, e.minor);
  if (e.access != kDeviceAll) {
    program.push_back(move_register(kScratch, kAccess));
    if (e.allow) {
      // Allows only if nothing beyond it is asked for.
      program.push_back(alu(BPF_AND, kScratch, static_cast<int32_t>(kDeviceAll & ~e.access)));
      skip_if(BPF_JNE, kScratch, 0);
    } else {
      // Denies if any of it is asked for.
      program.push_back(alu(BPF_AND, kScratch, static_cast<int32_t>(e.access)));
      skip_if(BPF_JEQ, kScratch, 0);
    }
  }
  append_verdict(program, e.allow);
  for (const size_t at : skips) program[at].off = static_cast<int16_t>(program.size() - at - 1);
}

Result<UniqueFd> load(const std::vector<bpf_insn>& program, const std::string& path) {
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = reinterpret_cast<uint64_t>(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = reinterpret_cast<uint64_t>("Apache-2.0");  // uses no GPL-only helper
  static_assert(sizeof kProgramName <= sizeof attr.prog_name);
  std::memcpy(attr.prog_name, kProgramName, sizeof kProgramName);
  UniqueFd fd(bpf(BPF_PROG_LOAD, attr));
  if (!fd) return sys_error("bpf(BPF_PROG_LOAD)", "device rules of " + path);
  // Some kernels hand it out without.
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  return fd;
}

/// The program attached here earlier, or an invalid fd.
Result<UniqueFd> find_attached(int group, const std::string& path) {
  uint32_t ids[kMaxAttached] = {};
  bpf_attr query{};
  query.query.target_fd = static_cast<uint32_t>(group);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = reinterpret_cast<uint64_t>(ids);
  query.query.prog_cnt = kMaxAttached;
  if (bpf(BPF_PROG_QUERY, query) != 0) return sys_error("bpf(BPF_PROG_QUERY)", path);
  for (uint32_t i = 0; i < std::min(query.query.prog_cnt, kMaxAttached); i++) {
    bpf_attr by_id{};
    by_id.prog_id = ids[i];
    UniqueFd fd(bpf(BPF_PROG_GET_FD_BY_ID, by_id));
    if (!fd) continue;  // gone meanwhile
    bpf_prog_info info{};
    bpf_attr details{};
    details.info.bpf_fd = static_cast<uint32_t>(fd.get());
    details.info.info_len = sizeof info;
    details.info.info = reinterpret_cast<uint64_t>(&info);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, details) == 0 && std::strncmp(info.name, kProgramName, sizeof info.name) == 0)
      return fd;
  }
  return UniqueFd();
}

int attach(int group, int program, int replaced) {
  bpf_attr attr{};
  attr.target_fd = static_cast<uint32_t>(group);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  // MULTI: a container's own groups may have programs as well, and all must allow.
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attr.attach_flags |= BPF_F_REPLACE;
    attr.replace_bpf_fd = static_cast<uint32_t>(replaced);
  }
  return bpf(BPF_PROG_ATTACH, attr);
}

int detach(int group, int program) {
  bpf_attr attr{};
  attr.target_fd = static_cast<uint32_t>(group);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  return bpf(BPF_PROG_DETACH, attr);
}

}  // namespace

std::vector<bpf_insn> device_program(const DevicePolicy& policy) {
  std::vector<bpf_insn> program;
  program.push_back(load_field(kType, offsetof(bpf_cgroup_dev_ctx, access_type)));
  program.push_back(move_register(kAccess, kType));
  program.push_back(alu(BPF_RSH, kAccess, 16));
  program.push_back(alu(BPF_AND, kType, 0xffff));
  program.push_back(load_field(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  program.push_back(load_field(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  // Later exceptions win, so they are asked first.
  for (auto e = policy.exceptions.rbegin(); e != policy.exceptions.rend(); ++e) append_exception(program, *e);
  append_verdict(program, policy.default_allow);
  return program;
}

Result<void> v2_devices(const Directory& group, const DevicePolicy& policy) {
  const auto program = device_program(policy);
  BERTH_ASSIGN(const UniqueFd loaded, load(program, group.path()));
  BERTH_ASSIGN(const UniqueFd dir, group.open_file(".", O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN(const UniqueFd earlier, find_attached(dir.get(), group.path()));
  if (attach(dir.get(), loaded.get(), earlier.get()) == 0) return {};
  if (!earlier || errno != EINVAL) return sys_error("bpf(BPF_PROG_ATTACH)", group.path());
  // Before Linux 5.6 nothing can be replaced in one step. Both together are the stricter of the two for a moment.
  if (attach(dir.get(), loaded.get(), -1) != 0) return sys_error("bpf(BPF_PROG_ATTACH)", group.path());
  if (detach(dir.get(), earlier.get()) != 0) return sys_error("bpf(BPF_PROG_DETACH)", group.path());
  return {};
}

}  // namespace berth::cgroup
