/** The fields of memory.stat that Docker tells, by control group version, under its names. */

const once = (
  "cache rss rss_huge mapped_file dirty writeback pgpgin pgpgout pgfault pgmajfault inactive_anon active_anon " +
  "inactive_file active_file unevictable"
).split(" ");
const v1 = [...once, ...once.map((name) => `total_${name}`), "hierarchical_memory_limit", "hierarchical_memsw_limit"];

const v2 = (
  "anon file kernel_stack slab sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon active_anon " +
  "inactive_file active_file unevictable slab_reclaimable slab_unreclaimable pgfault pgmajfault workingset_refault " +
  "workingset_activate workingset_nodereclaim pgrefill pgscan pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed " +
  "thp_fault_alloc thp_collapse_alloc"
).split(" ");

const names = { 1: v1.sort(), 2: v2.sort() };

const exact = (value: number): unknown =>
  Number.isSafeInteger(value)
    ? value
    : (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(BigInt(value)));

/** Sorted by name, as Go writes maps; a field that the kernel does not have is 0. */
export function memoryDetails(details: Record<string, number>, version: number): Record<string, unknown> {
  const known = names[version as 1 | 2] ?? [];
  return Object.fromEntries(known.map((name) => [name, exact(countOf(details, name))]));
}

/** Newer kernels count pages of files and others apart: Docker's one number is their sum. */
function countOf(details: Record<string, number>, name: string): number {
  const value = details[name];
  if (value !== undefined || !name.startsWith("workingset_")) return value ?? 0;
  return (details[`${name}_anon`] ?? 0) + (details[`${name}_file`] ?? 0);
}
