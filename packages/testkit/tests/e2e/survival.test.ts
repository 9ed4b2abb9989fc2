// Each service killed in the middle of a container's work: nothing is lost, and it is back in moments.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, eventually, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

/** A service is back after half a second, and promised to be after 2 s; the rest is for a machine that builds at the same time. */
const BACK_WITHIN_MS = 5_000;
const COUNT = 100_000;
/** Slow enough that the count is still going on when the service has died and come back. */
const COUNTER = `i=1; while [ $i -le ${COUNT} ]; do echo $i; i=$((i+1)); [ $((i % 5000)) -eq 0 ] && sleep 0.2; done; exit 7`;

describe.each(["gateway", "supervisor", "snapshotter", "image-store", "registry-proxy", "nats"] as const)(
  "%s killed",
  (service) => {
    it("loses no line, no exit and no container", async () => {
      const name = `count-${service}`;
      await bed.docker.must(["run", "-d", "--name", name, busybox, "sh", "-c", COUNTER]);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const killed = performance.now();
      await bed.engine.kill(service);
      await eventually(
        `${service} is back`,
        async () => (await bed.docker.run(["ps", "-q"])).code === 0 || undefined,
        BACK_WITHIN_MS,
        20,
      );
      await bed.engine.healthy(service);
      expect(performance.now() - killed).toBeLessThan(BACK_WITHIN_MS);
      expect(await bed.docker.must(["ps", "--format", "{{.Names}}", "--filter", `name=${name}`])).toBe(`${name}\n`);
      expect(await bed.docker.must(["wait", name], { timeoutMs: 120_000 })).toBe("7\n");
      expect(await bed.docker.must(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name])).toBe(
        "exited 7\n",
      );
      const log = (await bed.docker.must(["logs", name], { timeoutMs: 120_000 })).trimEnd().split("\n");
      expect(log.length).toBe(COUNT);
      expect(log.every((line, index) => line === String(index + 1))).toBe(true);
      await bed.docker.must(["rm", name]);
    }, 180_000);
  },
);

it("records an exit that happened while the supervisor was dead", async () => {
  const id = (await bed.docker.must(["run", "-d", busybox, "sh", "-c", "sleep 0.3; exit 9"])).trim();
  await bed.engine.kill("supervisor");
  const code = await eventually("the exit is seen", async () => {
    const result = await bed.docker.run(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id]);
    return result.stdout === "exited 9\n" ? result.stdout : undefined;
  });
  expect(code).toBe("exited 9\n");
  await bed.docker.must(["rm", id]);
}, 60_000);
