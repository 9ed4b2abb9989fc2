// Just enough of classic and extended BPF to run our own programs in tests.
#pragma once

#include <doctest/doctest.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstring>
#include <vector>

namespace berth::test {

inline uint32_t run_filter(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < program.size(); at++) {
    const sock_filter& i = program[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (i.k + 4 > sizeof data) FAIL("load beyond the data");
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: a &= i.k; break;
      case BPF_ALU | BPF_RSH | BPF_K: a >>= i.k; break;
      case BPF_JMP | BPF_JA: at += i.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += a == i.k ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: at += a > i.k ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += a >= i.k ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: at += (a & i.k) != 0 ? i.jt : i.jf; break;
      case BPF_RET | BPF_K: return i.k;
      default: FAIL("unknown instruction ", i.code);
    }
  }
  FAIL("ran off the end");
  return 0;
}

inline uint64_t run_device_program(const std::vector<bpf_insn>& program, const bpf_cgroup_dev_ctx& context) {
  uint64_t r[11] = {};
  for (size_t at = 0; at < program.size(); at++) {
    const bpf_insn& i = program[at];
    switch (i.code) {
      case BPF_LDX | BPF_MEM | BPF_W: {
        REQUIRE(i.src_reg == 1);
        uint32_t word;
        std::memcpy(&word, reinterpret_cast<const char*>(&context) + i.off, 4);
        r[i.dst_reg] = word;
        break;
      }
      case BPF_ALU | BPF_MOV | BPF_X: r[i.dst_reg] = static_cast<uint32_t>(r[i.src_reg]); break;
      case BPF_ALU | BPF_AND | BPF_K: r[i.dst_reg] = static_cast<uint32_t>(r[i.dst_reg]) & static_cast<uint32_t>(i.imm); break;
      case BPF_ALU | BPF_RSH | BPF_K: r[i.dst_reg] = static_cast<uint32_t>(r[i.dst_reg]) >> i.imm; break;
      case BPF_ALU64 | BPF_MOV | BPF_K: r[i.dst_reg] = static_cast<uint64_t>(int64_t{i.imm}); break;
      case BPF_JMP | BPF_JNE | BPF_K:
        if (r[i.dst_reg] != static_cast<uint64_t>(int64_t{i.imm})) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        if (r[i.dst_reg] == static_cast<uint64_t>(int64_t{i.imm})) at += static_cast<size_t>(i.off);
        break;
      case BPF_JMP | BPF_EXIT: return r[0];
      default: FAIL("unknown instruction ", i.code);
    }
  }
  FAIL("ran off the end");
  return 0;
}

}  // namespace berth::test
