// Streams over restarts of what they pass through: every line once, every byte in its place.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, ended, eventually, LogReader, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

const restarts = [
  ["supervisor", "SIGKILL"],
  ["gateway", "SIGKILL"],
  ["supervisor", "SIGTERM"],
  ["gateway", "SIGTERM"],
  ["supervisor", "SIGKILL"],
] as const;

async function restart(service: string, signal: NodeJS.Signals): Promise<void> {
  const pid = bed.engine.pidOf(service);
  bed.engine.kill(service, signal);
  await eventually(`${service} has another process`, () => bed.engine.pidOf(service) !== pid, 20_000);
  await bed.engine.healthy(service, 20_000);
}

/** Bursts of lines that bear the same time, on both streams, and a line that takes three records; until it is told to stop. */
const TALKER = `
i=0
while [ ! -e /stop ]; do
  n=$((i + 50))
  while [ $i -lt $n ]; do i=$((i + 1)); echo "out $i"; echo "err $i" >&2; done
  printf 'long %040000d\\n' $i
  sleep 0.02
done
echo "end $i"`;

async function talk(name: string, options: readonly string[] = []): Promise<void> {
  await bed.docker.must(["run", "-d", "--name", name, ...options, busybox, "sh", "-c", TALKER]);
}

/** Lets it say its last word, and gives the number of lines that it has written to each stream. */
async function stopTalking(name: string): Promise<number> {
  // Detached: what ends with its container can't tell of its own end.
  await bed.docker.must(["exec", "-d", name, "touch", "/stop"]);
  await bed.docker.must(["wait", name]);
  return Number(/^end (\d+)$/m.exec(await bed.docker.must(["logs", "--tail", "5", name]))?.[1]);
}

function expectEachLineOnce(out: string, err: string, count: number): void {
  const wanted = Array.from({ length: count }, (_, i) => i + 1);
  expect(err).toBe(wanted.map((i) => `err ${i}\n`).join(""));
  const long = (i: number) => `long ${String(i).padStart(40_000, "0")}\n`;
  const text = wanted.map((i) => `out ${i}\n${i % 50 === 0 ? long(i) : ""}`).join("");
  // Not toBe: nobody wants to see what differs in megabytes.
  expect(out === `${text}end ${count}\n`).toBe(true);
}

describe.each(["json-file", "local"])("logs -f of %s", (driver) => {
  it("a client that asks again with `since` gets every line exactly once", async () => {
    const name = `talker-${driver}`;
    await talk(name, ["--log-driver", driver, "--log-opt", "max-size=1m", "--log-opt", "max-file=100"]);
    const reader = new LogReader(bed.engine.socket, name);
    const reading = reader.run(AbortSignal.timeout(120_000));
    for (const [service, signal] of restarts) {
      const before = reader.lines.length;
      await eventually("the reader is in the stream", () => reader.lines.length > before + 300, 20_000);
      await restart(service, signal);
    }
    const count = await stopTalking(name);
    await reading;
    const text = (wanted: string) =>
      reader.lines.flatMap(({ stream, text }) => (stream === wanted ? [text] : [])).join("");
    expectEachLineOnce(text("stdout"), text("stderr"), count);
    expect(reader.cuts).toBeGreaterThan(0);
    await bed.docker.must(["rm", name]);
  }, 180_000);

  it("a client of a gateway that stays does not notice that the supervisor was restarted", async () => {
    const name = `follow-${driver}`;
    await talk(name, ["--log-driver", driver, "--log-opt", "max-size=1m", "--log-opt", "max-file=100"]);
    const follower = bed.docker.run(["logs", "-f", name], { timeoutMs: 120_000 });
    const last = bed.docker.run(["logs", "-f", "--tail", "1", name], { timeoutMs: 120_000 });
    for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
      const before = await written(name);
      await eventually("it goes on talking", async () => (await written(name)) > before + 100, 20_000, 200);
      await restart("supervisor", signal);
    }
    const count = await stopTalking(name);
    const { code, stdout, stderr } = await follower;
    expect(code, stderr.slice(-300)).toBe(0);
    expectEachLineOnce(stdout, stderr, count);
    const tail = await last;
    expect(tail.code, tail.stderr.slice(-300)).toBe(0);
    const numbers = [...tail.stderr.matchAll(/^err (\d+)$/gm)].map(([, number]) => Number(number));
    const [first = 0] = numbers;
    expect(first).toBeLessThan(count);
    expect(numbers).toEqual(Array.from({ length: count - first + 1 }, (_, i) => first + i));
    await bed.docker.must(["rm", name]);
  }, 180_000);
});

async function written(name: string): Promise<number> {
  const { stderr } = await bed.docker.run(["logs", "--tail", "5", name]);
  return Number(/^err (\d+)$/m.exec(stderr)?.[1] ?? 0);
}

/** A client that is fed numbered lines without end, and whose output is kept. */
function pump(args: readonly string[]) {
  const client = bed.docker.start(args);
  let out = "";
  let err = "";
  let fed = 0;
  let open = true;
  client.stdout.on("data", (data: Buffer) => {
    out += data.toString("latin1");
  });
  client.stderr.on("data", (data: Buffer) => {
    err += data.toString("latin1");
  });
  client.stdin.on("error", () => undefined);
  const feed = () => {
    if (!open) return void client.stdin.end();
    const lines = Array.from({ length: 100 }, () => `in ${++fed}\n`).join("");
    client.stdin.write(lines, () => setTimeout(feed, 5));
  };
  feed();
  return {
    seen: () => out.length,
    /** Ends the input; resolves when the client has ended. */
    async end() {
      open = false;
      const [code] = await ended(client);
      return { code, out, err, fed };
    },
  };
}

const numbered = (word: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${word} ${i + 1}\n`).join("");

/** Megabytes are compared; only what stands where they part is shown. */
function firstDifference(given: string, wanted: string): object | undefined {
  if (given === wanted) return undefined;
  const [ours, theirs] = [given.split("\n"), wanted.split("\n")];
  const line = ours.findIndex((text, index) => text !== theirs[index]);
  const part = (lines: readonly string[]) => lines.slice(Math.max(0, line - 2), line + 4);
  return { line, lines: [ours.length, theirs.length], given: part(ours), wanted: part(theirs) };
}

describe("the supervisor is restarted under a stream", () => {
  /** Tells each line of its input on both streams. */
  const ECHO = `while read word n; do echo "out $n"; echo "err $n" >&2; done; exit 7`;

  it.each([
    ["run -i", () => ["run", "-i", "--name", "echo-run", busybox, "sh", "-c", ECHO], "echo-run"],
    ["attach", () => ["attach", "echo-attach"], "echo-attach"],
    ["exec -i", () => ["exec", "-i", "echo-exec", "sh", "-c", ECHO], "echo-exec"],
  ])(
    "%s goes on, and loses nothing either way",
    async (how, args, name) => {
      if (how === "attach") {
        await bed.docker.must(["create", "-i", "--name", name, busybox, "sh", "-c", ECHO]);
        await bed.docker.must(["start", name]);
      }
      if (how === "exec -i") await bed.docker.must(["run", "-d", "--name", name, busybox, "sleep", "1000"]);
      const stream = pump(args());
      for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
        const before = stream.seen();
        await eventually("the stream flows", () => stream.seen() > before + 5_000, 20_000, 10);
        await restart("supervisor", signal);
      }
      const { code, out, err, fed } = await stream.end();
      expect(firstDifference(err, numbered("err", fed))).toBeUndefined();
      expect(firstDifference(out, numbered("out", fed))).toBeUndefined();
      expect(code).toBe(7);
      await bed.docker.must(["rm", "-f", name]);
    },
    120_000,
  );
});

it("who waits for a container that ends and goes while the supervisor is dead is told its exit code", async () => {
  const name = "rm-away";
  const client = bed.docker.run(["run", "-i", "--rm", "--name", name, busybox, "sh", "-c", "echo up; sleep 1; exit 9"]);
  await bed.docker.must(["run", "-d", "--name", "rm-kept", busybox, "sh", "-c", "sleep 1; exit 8"]);
  const waiting = bed.docker.run(["wait", "rm-kept"]);
  await eventually(
    "both run",
    async () => (await bed.docker.must(["ps", "-q", "--filter", "name=rm-"])).split("\n").length > 2,
  );
  await restart("supervisor", "SIGKILL");
  expect(await waiting).toMatchObject({ code: 0, stdout: "8\n", stderr: "" });
  expect(await client).toMatchObject({ code: 9, stdout: "up\n", stderr: "" });
  await bed.docker.must(["rm", "rm-kept"]);
}, 60_000);
