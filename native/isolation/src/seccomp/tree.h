// The filter's shape: one section an architecture, in it a search tree over call numbers, at its leaves an action or a
// chain of argument checks.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "seccomp/arch.h"

namespace berth::seccomp {

enum class Compare : uint8_t { ne, lt, le, eq, ge, gt, masked_eq };

/// `argument[index] op value`; masked_eq: `(argument & value) == value_two`.
struct Condition {
  uint8_t index;
  Compare op;
  uint64_t value;
  uint64_t value_two;
};

struct CallRule {
  uint32_t number;
  uint32_t action;                    // SECCOMP_RET_*
  std::vector<Condition> conditions;  // all must hold; none: always
};

struct Section {
  const Arch* arch;
  std::vector<CallRule> calls;  // in the profile's order
};

/// The whole program. `fallback` is the action for calls without a rule.
std::vector<sock_filter> assemble(std::vector<Section> sections, uint32_t fallback);

}  // namespace berth::seccomp
