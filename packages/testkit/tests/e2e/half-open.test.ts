// A thousand clients that leave in the middle: of a request, of a stream, of an answer. Nothing stays behind.
import { readdir, readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, eventually, openBed } from "../../src/index.ts";

let bed: Bed;

beforeAll(async () => {
  bed = await openBed();
  const busybox = await bed.pull("busybox");
  const talk = "while sleep 0.1; do echo talk; done & exec cat";
  await bed.docker.must(["run", "-di", "--name", "talker", busybox, "sh", "-c", talk]);
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

interface Half {
  readonly text: string;
  /** Leaves once the engine has answered this much; undefined: when the text is out. */
  readonly after?: RegExp;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const upgraded = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n";
const post = (path: string, headers: string, body = "") => `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const stream = "stream=1&stdin=1&stdout=1&stderr=1";

const halves: Record<string, Half> = {
  "before the headers": { text: "" },
  "inside the headers": { text: get("/containers/json").slice(0, 30) },
  "inside a body": {
    text: post("/containers/create", "Content-Type: application/json\r\nContent-Length: 900\r\n", "{"),
  },
  "inside a chunked body": { text: post("/images/load", "Transfer-Encoding: chunked\r\n", "5\r\nab") },
  "inside an archive": { text: post("/images/create?fromSrc=-", "Transfer-Encoding: chunked\r\n", "400\r\nab") },
  "a put archive": {
    text: `PUT /containers/talker/archive?path=/tmp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nab`,
  },
  "an attach, unanswered": { text: post(`/containers/talker/attach?${stream}`, upgraded) },
  "an attach, in the stream": { text: post(`/containers/talker/attach?${stream}`, upgraded, "in\n"), after: /talk/ },
  "an attach without an upgrade": { text: post(`/containers/talker/attach?${stream}`, ""), after: /talk/ },
  "a log": { text: get("/containers/talker/logs?stdout=1&follow=1&tail=1"), after: /talk/ },
  stats: { text: get("/containers/talker/stats"), after: /\r\n\r\n/ },
  events: { text: get("/events?since=1"), after: /\r\n\r\n.*start/s },
  "a wait": { text: post("/containers/talker/wait?condition=next-exit", ""), after: /\r\n\r\n/ },
  "an archive coming out": { text: get("/containers/talker/archive?path=/bin"), after: /\r\n\r\n./s },
  "an export": { text: get("/containers/talker/export"), after: /\r\n\r\n./s },
};

/** An exec cannot be started twice: each client has one of its own, and its process must go when the container does. */
async function execHalf(): Promise<Half> {
  const { Id } = await bed.api.must<{ Id: string }>("POST", "/containers/talker/exec", {
    AttachStdin: true,
    AttachStdout: true,
    Cmd: ["sh", "-c", "echo talk; cat"],
  });
  return { text: post(`/exec/${Id}/start`, `${upgraded}Content-Length: 2\r\n`, "{}"), after: /talk/ };
}

function leave({ text, after }: Half): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket: Socket = connect(bed.engine.socket);
    const timer = setTimeout(
      () => reject(new Error(`no answer to ${text.slice(0, 60)}: ${answer.slice(0, 900)}`)),
      60_000,
    );
    socket.once("connect", () => {
      if (text === "") socket.destroy();
      else socket.write(text, () => after === undefined && setImmediate(() => socket.destroy()));
    });
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      if (after?.test(answer)) socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Every client of a round leaves; a few dozen at a time. */
async function round(count: number): Promise<void> {
  const kinds = Object.values(halves);
  for (let done = 0; done < count; done += 32) {
    const batch = Array.from({ length: Math.min(32, count - done) }, async (_, i) => {
      const index = (done + i) % (kinds.length + 1);
      await leave(kinds[index] ?? (await execHalf()));
    });
    await Promise.all(batch);
  }
}

interface Cost {
  fds: number;
  memory: number;
}

async function costOf(pid: number): Promise<Cost> {
  const [fds, rollup] = await Promise.all([readdir(`/proc/${pid}/fd`), readFile(`/proc/${pid}/smaps_rollup`, "utf8")]);
  return { fds: fds.length, memory: Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024 };
}

async function monitorPid(): Promise<number> {
  const pid = (await bed.docker.must(["inspect", "-f", "{{.State.Pid}}", "talker"])).trim();
  return Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** bytes; heaps grow and shrink by this much without a reason that one could name, and a thousand kept requests take more. */
const memorySlack = 48 * 1024 * 1024;
/** Connections between services may have been opened or closed meanwhile. */
const fdSlack = 6;

it("a thousand clients that leave half-way cost nothing afterwards", async () => {
  const monitor = await monitorPid();
  const costs = async () => ({
    gateway: await costOf(bed.engine.pidOf("gateway")),
    supervisor: await costOf(bed.engine.pidOf("supervisor")),
    monitor: await costOf(monitor),
  });
  // Code is compiled and buffers are there before anything is measured.
  await round(10 * (Object.keys(halves).length + 1));
  const execs = async () => bed.docker.must(["exec", "talker", "sh", "-c", "ps | grep '[e]cho talk; cat' || true"]);
  await eventually("no exec is left", async () => (await execs()) === "", 30_000, 200);
  const before = await costs();
  const containers = await bed.docker.must(["ps", "-aq"]);
  await round(1_000);
  await eventually("no exec is left", async () => (await execs()) === "", 60_000, 500);
  await eventually(
    "files and memory are back",
    async () => {
      const after = await costs();
      for (const name of ["gateway", "supervisor", "monitor"] as const) {
        const text = `${name}: ${JSON.stringify(before[name])}, then ${JSON.stringify(after[name])}`;
        if (after[name].fds > before[name].fds + fdSlack) throw new Error(text);
        if (after[name].memory > before[name].memory + memorySlack) throw new Error(text);
      }
      console.log(JSON.stringify({ before, after }));
      return true;
    },
    60_000,
    500,
  );
  expect(await bed.docker.must(["ps", "-aq"])).toBe(containers);
  expect(await bed.docker.must(["images", "-f", "dangling=true", "-q"])).toBe("");
}, 240_000);
