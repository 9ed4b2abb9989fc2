#include "seccomp/tree.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace berth::seccomp {
namespace {

using Code = std::vector<sock_filter>;

/// Calls from `first` on, up to the next leaf's, end in `code`.
struct Leaf {
  uint32_t first;
  Code code;
};

sock_filter statement(uint16_t code, uint32_t k) { return {code, 0, 0, k}; }
sock_filter jump(uint16_t condition, uint32_t k, uint8_t if_true, uint8_t if_false) {
  return {static_cast<uint16_t>(BPF_JMP | condition | BPF_K), if_true, if_false, k};
}
sock_filter verdict(uint32_t action) { return statement(BPF_RET | BPF_K, action); }

bool same(const Code& a, const Code& b) {
  return a.size() == 1 && b.size() == 1 && a[0].code == b[0].code && a[0].k == b[0].k;
}

void append(Code& code, const Code& more) { code.insert(code.end(), more.begin(), more.end()); }

/// Jump targets inside one rule, set when the place is known. A rule has at most 6 conditions of 5 instructions, so all
/// distances fit the 8 bits that BPF has for them.
class RuleCode {
 public:
  RuleCode(const Arch& arch, Code& code) : arch_(arch), code_(code) {}

  void check(const Condition& c) {
    const uint32_t low = static_cast<uint32_t>(c.value), high = static_cast<uint32_t>(c.value >> 32);
    const uint32_t low_two = static_cast<uint32_t>(c.value_two), high_two = static_cast<uint32_t>(c.value_two >> 32);
    switch (c.op) {
      case Compare::eq:
        if (arch_.wide) load(c.index, true), fail_unless(BPF_JEQ, high);
        load(c.index, false), fail_unless(BPF_JEQ, low);
        break;
      case Compare::masked_eq:
        if (arch_.wide) load(c.index, true), mask(high), fail_unless(BPF_JEQ, high_two);
        load(c.index, false), mask(low), fail_unless(BPF_JEQ, low_two);
        break;
      case Compare::ne:
        if (arch_.wide) load(c.index, true), pass_unless(BPF_JEQ, high);
        load(c.index, false), fail_if(BPF_JEQ, low);
        break;
      case Compare::gt:
      case Compare::ge:
        if (arch_.wide) load(c.index, true), pass_if(BPF_JGT, high), fail_unless(BPF_JEQ, high);
        load(c.index, false), fail_unless(c.op == Compare::gt ? BPF_JGT : BPF_JGE, low);
        break;
      case Compare::lt:
      case Compare::le:
        if (arch_.wide) load(c.index, true), fail_if(BPF_JGT, high), pass_unless(BPF_JEQ, high);
        load(c.index, false), fail_if(c.op == Compare::lt ? BPF_JGE : BPF_JGT, low);
        break;
    }
    for (const auto& [at, on_true] : passes_) set(at, on_true, code_.size());
    passes_.clear();
  }

  /// After the last condition: the action, and behind it where failed conditions go.
  void finish(uint32_t action) {
    code_.push_back(verdict(action));
    for (const auto& [at, on_true] : fails_) set(at, on_true, code_.size());
    fails_.clear();
  }

 private:
  using Places = std::vector<std::pair<size_t, bool>>;

  void load(uint8_t index, bool high) {
    const size_t word = high == arch_.big_endian ? 0 : 4;
    code_.push_back(statement(BPF_LD | BPF_W | BPF_ABS,
                              static_cast<uint32_t>(offsetof(seccomp_data, args) + 8u * index + word)));
  }
  void mask(uint32_t bits) { code_.push_back(statement(BPF_ALU | BPF_AND | BPF_K, bits)); }
  void branch(Places& places, uint16_t condition, uint32_t k, bool on_true) {
    places.emplace_back(code_.size(), on_true);
    code_.push_back(jump(condition, k, 0, 0));
  }
  void fail_if(uint16_t condition, uint32_t k) { branch(fails_, condition, k, true); }
  void fail_unless(uint16_t condition, uint32_t k) { branch(fails_, condition, k, false); }
  void pass_if(uint16_t condition, uint32_t k) { branch(passes_, condition, k, true); }
  void pass_unless(uint16_t condition, uint32_t k) { branch(passes_, condition, k, false); }
  void set(size_t at, bool on_true, size_t target) {
    const auto distance = static_cast<uint8_t>(target - at - 1);
    (on_true ? code_[at].jt : code_[at].jf) = distance;
  }

  const Arch& arch_;
  Code& code_;
  Places fails_, passes_;
};

/// The rules of one call: those with arguments in order, unless one without outweighs them.
Code call_code(const Arch& arch, const CallRule* begin, const CallRule* end, uint32_t fallback) {
  Code code;
  for (const CallRule* rule = begin; rule != end; ++rule)
    if (rule->conditions.empty()) return {verdict(rule->action)};
  for (const CallRule* rule = begin; rule != end; ++rule) {
    RuleCode out(arch, code);
    for (const auto& condition : rule->conditions) out.check(condition);
    out.finish(rule->action);
  }
  code.push_back(verdict(fallback));
  return code;
}

/// Is a denial: then a call from the profile's future is one that "this kernel does not have".
bool denies(uint32_t action) {
  const uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  return kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && action != (SECCOMP_RET_ERRNO | ENOSYS);
}

std::vector<Leaf> leaves_of(Section& section, uint32_t base, uint32_t fallback) {
  auto& calls = section.calls;
  std::stable_sort(calls.begin(), calls.end(), [](const CallRule& a, const CallRule& b) { return a.number < b.number; });
  std::vector<Leaf> leaves{{base, {verdict(fallback)}}};
  auto put = [&](uint32_t first, Code code) {
    if (leaves.back().first == first) leaves.pop_back();
    if (!leaves.empty() && same(leaves.back().code, code)) return;
    leaves.push_back({first, std::move(code)});
  };
  for (size_t i = 0; i < calls.size();) {
    size_t end = i;
    while (end < calls.size() && calls[end].number == calls[i].number) end++;
    const uint32_t number = calls[i].number;
    put(number, call_code(*section.arch, &calls[i], calls.data() + end, fallback));
    const bool last = end == calls.size();
    put(number + 1, {verdict(last && denies(fallback) ? (SECCOMP_RET_ERRNO | ENOSYS) : fallback)});
    i = end;
  }
  return leaves;
}

/// A jump over `distance` instructions when the number is at least `first`.
void append_split(Code& code, uint32_t first, size_t distance) {
  if (distance <= 255) {
    code.push_back(jump(BPF_JGE, first, static_cast<uint8_t>(distance), 0));
  } else {
    code.push_back(jump(BPF_JGE, first, 0, 1));
    code.push_back(statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance)));
  }
}

/// The number is in the accumulator.
Code tree_of(const Leaf* begin, const Leaf* end) {
  if (end - begin == 1) return begin->code;
  const Leaf* middle = begin + (end - begin) / 2;
  const Code left = tree_of(begin, middle), right = tree_of(middle, end);
  Code code;
  code.reserve(left.size() + right.size() + 2);
  append_split(code, middle->first, left.size());
  append(code, left);
  append(code, right);
  return code;
}

Code section_code(Section& section, uint32_t fallback) {
  const bool x32 = section.arch->token == SCMP_ARCH_X32;
  const auto leaves = leaves_of(section, x32 ? kX32Bit : 0, fallback);
  return tree_of(leaves.data(), leaves.data() + leaves.size());
}

}  // namespace

std::vector<sock_filter> assemble(std::vector<Section> sections, uint32_t fallback) {
  // What no section answers for.
  const Code wrong_arch{verdict(SECCOMP_RET_KILL_THREAD)};
  auto take = [&](uint32_t token) -> Section* {
    const auto it = std::find_if(sections.begin(), sections.end(), [&](const Section& s) { return s.arch->token == token; });
    return it == sections.end() ? nullptr : &*it;
  };
  Code code{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch))};
  for (auto& section : sections) {
    if (section.arch->token == SCMP_ARCH_X32) {
      // Shares its audit number with x86_64, which is always there beside it where x32 can run at all.
      if (take(SCMP_ARCH_X86_64)) continue;
    }
    Code part{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    Code body = section_code(section, fallback);
    if (section.arch->token == SCMP_ARCH_X86_64) {
      Section* x32 = take(SCMP_ARCH_X32);
      append_split(part, kX32Bit, body.size());
      append(body, x32 ? section_code(*x32, fallback) : wrong_arch);
    }
    append(part, body);
    // Skip the part unless it is this architecture's.
    if (part.size() <= 255) {
      code.push_back(jump(BPF_JEQ, section.arch->audit, 0, static_cast<uint8_t>(part.size())));
    } else {
      code.push_back(jump(BPF_JEQ, section.arch->audit, 1, 0));
      code.push_back(statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(part.size())));
    }
    append(code, part);
  }
  append(code, wrong_arch);
  return code;
}

}  // namespace berth::seccomp
