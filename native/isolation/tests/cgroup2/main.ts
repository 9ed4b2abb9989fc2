// `npm run test:cgroup2`: the lane with its console on stdout; exit status 1 if any step failed.

import { runLane } from "./lane.ts";

const { steps, bootMs, totalMs } = await runLane({ timeoutMs: 300_000, onLine: (line) => console.log(line) });
for (const { name, status, durationMs } of steps)
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name} (${Math.round(durationMs)} ms)`);
console.log(`user space after ${Math.round(bootMs)} ms, ${Math.round(totalMs)} ms in all`);
if (steps.length === 0 || steps.some((step) => step.status !== 0)) process.exitCode = 1;
