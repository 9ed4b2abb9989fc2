// What the drivers say to log servers, on real sockets. The expected words are Docker 28.5's for the same container.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, inflateSync } from "node:zlib";
import { decodeMulti, encode } from "@msgpack/msgpack";
import { afterEach, describe, expect, it, test } from "vitest";
import type { Entry, LogDriver } from "../src/domain/logs/ship/driver.ts";
import { makeDriver } from "../src/domain/logs/ship/drivers.ts";
import type { ContainerRecord } from "../src/domain/model.ts";
import { DatagramReceiver, StreamReceiver } from "./log-receivers.ts";
import { makeRecord, makeSpec } from "./support.ts";

const time = 1_767_323_045_678_901_234n;
const entry = (content: string, stderr = false, more: Partial<Entry> = {}): Entry => ({
  stderr,
  time,
  content: Buffer.from(content),
  ...more,
});
const three = [entry("one"), entry("two", true), entry(""), entry("no end")];
const short = "a".repeat(12);
const host = hostname();
const dir = mkdtempSync(join(tmpdir(), "log-drivers-"));
const opened: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});
process.once("exit", () => rmSync(dir, { recursive: true, force: true }));

function recordOf(type: string, config: Record<string, string>): ContainerRecord {
  const spec = makeSpec({}, { labels: { tier: "front" }, env: ["MODE=fast"] });
  return makeRecord({ ...spec, hostConfig: { ...spec.hostConfig, logConfig: { type, config } } });
}

async function driverOf(type: string, config: Record<string, string>): Promise<LogDriver> {
  const driver = makeDriver(recordOf(type, config));
  opened.push(() => driver.close());
  await driver.connect();
  return driver;
}

async function stream(place: string | number = 0, receiver = new StreamReceiver()) {
  const port = await receiver.listen(place);
  opened.push(() => receiver.close());
  return { receiver, port };
}

async function datagrams() {
  const receiver = new DatagramReceiver();
  const port = await receiver.listen();
  opened.push(() => receiver.close());
  return { receiver, port };
}

describe("syslog", () => {
  // Local time, as syslog has it: what the clock of this machine says.
  const local = new Date(Number(time / 1_000_000n));
  const clock = local.toTimeString().slice(0, 8);
  const day = `${local.toDateString().slice(4, 7)} ${String(local.getDate()).padStart(2)}`;
  const formats: [string, (priority: number, text: string) => string | RegExp][] = [
    ["", (priority, text) => `<${priority}>${day} ${clock} ${short}[${process.pid}]: ${text}\n`],
    ["rfc3164", (priority, text) => `<${priority}>${day} ${clock} ${host} ${short}[${process.pid}]: ${text}\n`],
    [
      "rfc5424",
      (priority, text) =>
        new RegExp(
          `^<${priority}>1 \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(Z|[+-]\\d\\d:\\d\\d) ${host} ${short} ${process.pid} ${short} - ${text}\\n$`,
        ),
    ],
    [
      "rfc5424micro",
      (priority, text) =>
        new RegExp(
          `^<${priority}>1 \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.678901(Z|[+-]\\d\\d:\\d\\d) ${host} ${short} ${process.pid} ${short} - ${text}\\n$`,
        ),
    ],
  ];

  it.each(formats)("by udp, format %j: a datagram a line, empty lines left out", async (format, wanted) => {
    const { receiver, port } = await datagrams();
    const driver = await driverOf("syslog", {
      "syslog-address": `udp://127.0.0.1:${port}`,
      "syslog-format": format,
    });
    await driver.send(three);
    await expect.poll(() => receiver.messages.length).toBe(3);
    const expected = [wanted(30, "one"), wanted(27, "two"), wanted(30, "no end")];
    for (const [index, message] of receiver.messages.entries()) {
      const form = expected[index] as string | RegExp;
      if (typeof form === "string") expect(message.toString()).toBe(form);
      else expect(message.toString()).toMatch(form);
    }
  });

  it("by tcp, with tag and facility", async () => {
    const { receiver, port } = await stream();
    const driver = await driverOf("syslog", {
      "syslog-address": `tcp://127.0.0.1:${port}`,
      "syslog-facility": "local3",
      tag: "{{.Name}}/x",
    });
    await driver.send(three);
    const line = (priority: number, text: string) => `<${priority}>${day} ${clock} name/x[${process.pid}]: ${text}\n`;
    await expect.poll(() => receiver.text).toBe(line(158, "one") + line(155, "two") + line(158, "no end"));
  });

  it("by a unix socket", async () => {
    const path = join(dir, "syslog.sock");
    const { receiver } = await stream(path);
    const driver = await driverOf("syslog", { "syslog-address": `unix://${path}` });
    await driver.send([entry("here")]);
    await expect.poll(() => receiver.text).toBe(`<30>${day} ${clock} ${short}[${process.pid}]: here\n`);
  });

  it("by TLS: messages of RFC 5424 are counted, and the server's certificate counts", async () => {
    const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    const files = ["-keyout", key, "-out", cert];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject, ...files], {
      stdio: "ignore",
    });
    const tls = { cert: readFileSync(cert), key: readFileSync(key) };
    const { receiver, port } = await stream(0, new StreamReceiver(tls));
    const options = { "syslog-address": `tcp+tls://localhost:${port}`, "syslog-format": "rfc5424" };
    await expect(driverOf("syslog", options)).rejects.toThrow(/self-signed certificate/);
    const driver = await driverOf("syslog", { ...options, "syslog-tls-ca-cert": cert });
    await driver.send([entry("counted")]);
    await expect.poll(() => receiver.text).toMatch(/^\d+ <30>1 .* - counted\n$/);
    const [, count = "", rest = ""] = /^(\d+) (.*\n)$/s.exec(receiver.text) ?? [];
    expect(Buffer.byteLength(rest)).toBe(Number(count));
    const trusting = await driverOf("syslog", { ...options, "syslog-tls-skip-verify": "true" });
    await trusting.send([entry("trusted")]);
    await expect.poll(() => receiver.text).toMatch(/trusted\n$/);
  });

  it("a certificate that can't be read, and a server that is not there", async () => {
    const missing = { "syslog-address": "tcp+tls://localhost:1", "syslog-tls-ca-cert": "/no/ca" };
    expect(() => makeDriver(recordOf("syslog", missing))).toThrow(
      'could not read CA certificate "/no/ca": open /no/ca: no such file or directory',
    );
    await expect(driverOf("syslog", { "syslog-address": "tcp://127.0.0.1:1" })).rejects.toThrow(
      "dial tcp 127.0.0.1:1: connect: connection refused",
    );
  });
});

describe("gelf", () => {
  const unpack = { gzip: gunzipSync, zlib: inflateSync, none: (message: Buffer) => message };
  const about = {
    version: "1.1",
    host,
    timestamp: 1_767_323_045.678,
    _container_id: "a".repeat(64),
    _container_name: "name",
  };

  it.each(["gzip", "zlib", "none"] as const)("by udp, %s", async (how) => {
    const { receiver, port } = await datagrams();
    const driver = await driverOf("gelf", {
      "gelf-address": `udp://127.0.0.1:${port}`,
      "gelf-compression-type": how,
      labels: "tier",
      env: "MODE",
      tag: "t",
    });
    await driver.send(three);
    await expect.poll(() => receiver.messages.length).toBe(3);
    const messages = receiver.messages.map((message) => JSON.parse(unpack[how](message).toString()) as object);
    expect(messages).toMatchObject([
      { ...about, short_message: "one", level: 6, _tag: "t", _tier: "front", _MODE: "fast" },
      { ...about, short_message: "two", level: 3 },
      { ...about, short_message: "no end", level: 6 },
    ]);
  });

  it("what does not fit a frame goes in chunks", async () => {
    const { receiver, port } = await datagrams();
    const driver = await driverOf("gelf", {
      "gelf-address": `udp://127.0.0.1:${port}`,
      "gelf-compression-type": "none",
    });
    const long = Array.from({ length: 2_000 }, (_, i) => `${i}`).join(" ");
    await driver.send([entry(long)]);
    const count = () => receiver.messages[0]?.[11];
    await expect.poll(() => receiver.messages.length > 1 && receiver.messages.length === count()).toBe(true);
    const [id] = receiver.messages.map((message) => message.subarray(2, 10).toString("hex"));
    for (const message of receiver.messages) {
      expect(message.subarray(0, 2).toString("hex")).toBe("1e0f");
      expect(message.subarray(2, 10).toString("hex")).toBe(id);
      expect(message.length).toBeLessThanOrEqual(1_420);
    }
    const ordered = [...receiver.messages].sort((a, b) => (a[10] as number) - (b[10] as number));
    const whole = JSON.parse(Buffer.concat(ordered.map((message) => message.subarray(12))).toString()) as object;
    expect(whole).toMatchObject({ ...about, short_message: long });
  });

  it("by tcp a message ends with a zero byte; a server that comes back is sent the same again", async () => {
    const { receiver, port } = await stream();
    const driver = await driverOf("gelf", { "gelf-address": `tcp://127.0.0.1:${port}` });
    await driver.send([entry("one"), entry("two", true)]);
    await expect.poll(() => receiver.text.split("\0").length).toBe(3);
    const messages = receiver.text.split("\0").slice(0, 2);
    expect(messages.map((text) => JSON.parse(text) as object)).toMatchObject([
      { ...about, short_message: "one", level: 6 },
      { ...about, short_message: "two", level: 3 },
    ]);
    await receiver.close();
    await expect.poll(() => driver.send([entry("three")]).then(() => "", String)).toMatch(/closed|reset|EPIPE/);
    await expect(driver.connect()).rejects.toThrow(
      `gelf: cannot connect to GELF endpoint: 127.0.0.1:${port} dial tcp 127.0.0.1:${port}: connect: connection refused`,
    );
    const again = new StreamReceiver();
    await again.listen(port);
    opened.push(() => again.close());
    await driver.connect();
    await driver.send([entry("three")]);
    await expect.poll(() => again.text).toContain('"short_message":"three"');
  });
});

describe("fluentd", () => {
  const messagesOf = (bytes: Buffer) => [...decodeMulti(bytes)] as [string, unknown, Record<string, string>, object][];

  it("message mode: tag, time, record", async () => {
    const { receiver, port } = await stream();
    const driver = await driverOf("fluentd", {
      "fluentd-address": `127.0.0.1:${port}`,
      "fluentd-sub-second-precision": "true",
      labels: "tier",
    });
    const partial = { id: "p", ordinal: 1, last: false };
    await driver.send([entry("one"), entry("two", true), entry("piece", false, { partial })]);
    const got = () => messagesOf(receiver.connections[0]?.bytes ?? Buffer.alloc(0));
    await expect.poll(() => got().length).toBe(3);
    const [first, second, third] = got();
    const about = { container_id: "a".repeat(64), container_name: "/name", tier: "front" };
    expect(first?.[0]).toBe(short);
    // EventTime: an extension of type 0, seconds and nanoseconds.
    expect(first?.[1]).toMatchObject({ type: 0 });
    const stamp = Buffer.from((first as unknown as [string, { data: Uint8Array }])[1].data);
    expect([stamp.readUInt32BE(0), stamp.readUInt32BE(4)]).toEqual([1_767_323_045, 678_901_234]);
    expect(first?.[2]).toEqual({ ...about, source: "stdout", log: "one" });
    expect(second?.[2]).toEqual({ ...about, source: "stderr", log: "two" });
    expect(third?.[2]).toMatchObject({ log: "piece", partial_message: "true", partial_id: "p", partial_last: "false" });
  });

  it("with acknowledgements, a message counts as sent when the server says so", async () => {
    const { receiver, port } = await stream();
    let answer: (() => void) | undefined;
    receiver.onData = (data, socket) => {
      answer = () => {
        for (const [, , , option] of messagesOf(data)) {
          socket.write(encode({ ack: (option as { chunk: string }).chunk }));
        }
      };
    };
    const driver = await driverOf("fluentd", {
      "fluentd-address": `127.0.0.1:${port}`,
      "fluentd-request-ack": "true",
    });
    let isSent = false;
    const sending = driver.send([entry("one"), entry("two")]).then(() => {
      isSent = true;
    });
    await expect.poll(() => answer !== undefined).toBe(true);
    expect(isSent).toBe(false);
    answer?.();
    await sending;
  });

  it("gives up after as many attempts as it was told", () => {
    const driver = makeDriver(recordOf("fluentd", { "fluentd-max-retries": "2", "fluentd-retry-wait": "200ms" }));
    expect([1, 2, 3].map((failures) => driver.retryDelay(failures))).toEqual([200, 300, undefined]);
  });
});

test("what a driver does not take is refused before anything is sent", () => {
  expect(() => makeDriver(recordOf("json-file", {}))).toThrow("the log of this container stays here");
  expect(() => makeDriver(recordOf("gelf", {}))).toThrow("gelf-address is a required parameter");
});
