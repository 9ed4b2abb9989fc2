// OCI resources as writes to control group files.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cgroup/files.h"
#include "oci/spec.h"

namespace berth::cgroup {

/// A value for a file of one group.
struct Write {
  const Directory* group = nullptr;
  std::string file;
  std::string value;
};
using Writes = std::vector<Write>;

/// Does all writes, each once if they all fit together. The kernel checks some values against others that are set
/// already (quota and period against the parent's, memory against memory+swap, burst against quota), and which must go
/// first depends on whether they rise or fall: a write refused with EINVAL is tried again after the others, as long as
/// that gets any further. The Error is that of the first write that stays refused.
Result<void> settle(const Writes& writes);

/// As settle() takes them; each Error names the field that cannot be had.
Result<void> v1_cpu(const Directory& group, const oci::CpuResources& cpu, Writes& out);
Result<void> v1_memory(const Directory& group, const oci::MemoryResources& memory, Writes& out);
Result<void> v1_blkio(const Directory& group, const oci::BlockIoResources& io, Writes& out);
Result<void> v2_cpu(const Directory& group, const oci::CpuResources& cpu, Writes& out);
Result<void> v2_memory(const Directory& group, const oci::MemoryResources& memory, Writes& out);
Result<void> v2_io(const Directory& group, const oci::BlockIoResources& io, Writes& out);

/// cpu.shares (2..262144) as cpu.weight (1..10000): the linear mapping that Docker's runtimes use.
uint64_t shares_to_weight(uint64_t shares);
/// blkio.weight (10..1000) as io.weight (1..10000).
uint64_t blkio_to_io_weight(uint64_t weight);
/// The memory.swap.max for OCI's memory+swap; EINVAL when that is less than the memory limit.
Result<std::string> v2_swap(const oci::MemoryResources& memory);

/// EINVAL unless it is a list like "0-3,7" (what the kernel's cpuset files take).
Result<void> validate_cpu_list(const std::string& field, const std::string& list);

}  // namespace berth::cgroup
