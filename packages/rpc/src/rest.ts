/** Memory goes back to the machine when a service rests. */
import { getHeapStatistics } from "node:v8";

/** How often a look is taken, ms. One look costs microseconds. */
const lookEveryMs = 5_000;
/** Services that share a machine should not collect all at once: each takes up to this much longer, ms. */
const spreadMs = 1_000;
/** The share of the time since the last look in which a service at rest was busy, at most. */
const restingShare = 0.05;
/** What a heap must have grown by since the last collection for another one to be worth its time. */
const worthwhileBytes = 2 * 1024 * 1024;

/**
 * V8 collects garbage when a program allocates: one that has stopped allocating keeps what its last burst (or its start)
 * took, for ever. So a service that does nothing collects once more. The last resort is the only kind of collection that
 * gives pages back at once, and shrinks the young generation; it takes 50 to 100 ms. Without --expose-gc (a service that
 * somebody started by hand) nothing happens. `everyMs`: how often a look is taken. Returns what ends the watching.
 */
export function restWhenIdle(everyMs = lookEveryMs + Math.random() * spreadMs): () => void {
  const collect = globalThis.gc;
  if (collect === undefined) return () => {};
  let last = performance.eventLoopUtilization();
  let kept = 0;
  const look = () => {
    const { utilization } = performance.eventLoopUtilization(last);
    last = performance.eventLoopUtilization();
    if (utilization > restingShare || getHeapStatistics().total_heap_size < kept + worthwhileBytes) return;
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
    kept = getHeapStatistics().total_heap_size;
    // The collection was no work of the service.
    last = performance.eventLoopUtilization();
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
