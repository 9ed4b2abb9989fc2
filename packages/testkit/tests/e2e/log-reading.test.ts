// Reading a log that is not followed: on one host the supervisor writes it to the client's connection itself, in chunks. A client that speaks
// HTTP/1.0 gets no chunks, and so the other way, through the services: both must say the same.
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => bed?.close(), 120_000);

/** The body that a request of this version is answered with, its chunks put together. */
async function read(path: string, version: "1.0" | "1.1"): Promise<Buffer> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect(bed.docker.socket);
    const parts: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => parts.push(chunk));
    socket.once("error", reject).once("close", () => resolve(Buffer.concat(parts)));
    socket.write(`GET ${path} HTTP/${version}\r\nHost: x\r\nConnection: close\r\n\r\n`);
  });
  const end = answer.indexOf("\r\n\r\n");
  const head = answer.toString("latin1", 0, end);
  expect(head).toMatch(/^HTTP\/1\.1 200 /);
  expect(head.includes("chunked")).toBe(version === "1.1");
  const body = answer.subarray(end + 4);
  if (version === "1.0") return body;
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.toString("latin1", at, line), 16);
    if (size === 0) {
      expect(body.length).toBe(line + 4);
      return Buffer.concat(chunks);
    }
    chunks.push(body.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

const script = `i=0; while [ $i -lt 2000 ]; do
  printf 'line %s "q" \\\\ tab\\t \\001 \\303\\251 \\360\\237\\230\\200 <>&\\n' $i
  [ $((i%7)) = 0 ] && echo "err $i" >&2; i=$((i+1))
done; head -c 40000 /dev/zero | tr '\\0' x; printf 'no newline'`;

const kinds: [string, string[]][] = [
  ["of json-file", []],
  ["of a terminal", ["-t"]],
  ["of the local driver", ["--log-driver", "local"]],
  ["with labels", ["--log-opt", "labels=a,b", "--label", "a=x y", "--label", "b=é/&"]],
  ["over rotated files", ["--log-opt", "max-size=20k", "--log-opt", "max-file=30"]],
  ["over compressed files", ["--log-opt", "max-size=20k", "--log-opt", "max-file=30", "--log-opt", "compress=true"]],
];

it.each(kinds)(
  "says the same %s by both ways",
  async (_, options) => {
    const id = (
      await bed.docker.must(["run", "-d", "--network", "none", ...options, busybox, "sh", "-c", script])
    ).trim();
    await bed.docker.must(["wait", id]);
    const times = (await read(`/containers/${id}/logs?stdout=1&timestamps=1&tail=1000`, "1.0")).toString("latin1");
    const middle = Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(times)?.[0] ?? "") / 1000;
    const both = "stdout=1&stderr=1";
    const queries = [
      ...[
        both,
        "stdout=1",
        "stderr=1&timestamps=1",
        `${both}&details=1&timestamps=1`,
        `${both}&tail=17`,
        "stdout=1&tail=0",
      ],
      ...[`${both}&since=${middle}`, `${both}&until=${middle}&timestamps=1`, "stdout=1&tail=1500&details=1"],
      ...[`${both}&since=9999999999`, `${both}&since=${middle - 1}&until=${middle}`],
    ];
    for (const query of queries) {
      const path = `/containers/${id}/logs?${query}`;
      const [old, now] = [await read(path, "1.0"), await read(path, "1.1")];
      expect(now.equals(old), query).toBe(true);
      if (query === both) expect(now.length).toBeGreaterThan(100_000);
    }
    await bed.docker.must(["rm", id]);
  },
  60_000,
);

it("gives an error a status, and ends with a client that leaves", async () => {
  const id = (await bed.docker.must(["create", "--log-driver", "none", busybox, "true"])).trim();
  await bed.docker.must(["start", "-a", id]);
  const { status, text } = await bed.api.call("GET", `/containers/${id}/logs?stdout=1`);
  expect([status, text]).toEqual([501, expect.stringContaining("does not support reading")]);
  await bed.docker.must(["rm", id]);
  const big = [
    "run",
    "-d",
    "--network",
    "none",
    busybox,
    "sh",
    "-c",
    "yes 0123456789012345678901234567890 | head -c 20000000",
  ];
  const long = (await bed.docker.must(big)).trim();
  await bed.docker.must(["wait", long], { timeoutMs: 60_000 });
  const socket = connect(bed.docker.socket);
  socket.write(`GET /containers/${long}/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.destroy();
  const child = bed.docker.start(["logs", long]);
  let bytes = 0;
  for await (const chunk of child.stdout) bytes += (chunk as Buffer).length;
  expect(bytes).toBe(20_000_000);
  await bed.docker.must(["rm", long]);
}, 120_000);
