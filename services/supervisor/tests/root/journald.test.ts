// systemd-journald itself, a namespace of its own, reads what the driver sends and is asked what it understood.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ended, eventually, must } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Entry } from "../../src/domain/logs/ship/driver.ts";
import { journaldDriver } from "../../src/domain/logs/ship/journald.ts";
import { makeRecord, makeSpec } from "../support.ts";

const namespace = `berth${process.pid}`;
const socket = `/run/systemd/journal.${namespace}/socket`;
const hadDirectory = existsSync("/var/log/journal");
let journald: ChildProcess;

beforeAll(async () => {
  await mkdir("/run/systemd", { recursive: true });
  journald = spawn("/lib/systemd/systemd-journald", [namespace], { stdio: "ignore" });
  await eventually("journald listens", () => existsSync(socket));
});

afterAll(async () => {
  journald.kill("SIGTERM");
  await ended(journald);
  for (const parent of ["/var/log/journal", "/run/log/journal"]) {
    const names = await readdir(parent).catch(() => []);
    const own = names.filter((name) => name.endsWith(`.${namespace}`));
    for (const name of own) await rm(join(parent, name), { recursive: true, force: true });
  }
  if (!hadDirectory) await rm("/var/log/journal", { recursive: true, force: true });
  await rm(`/run/systemd/journal.${namespace}`, { recursive: true, force: true });
});

const id = "b".repeat(64);
const entry = (content: string, stderr = false, more: Partial<Entry> = {}): Entry => ({
  stderr,
  time: 1_767_323_045_678_901_234n,
  content: Buffer.from(content),
  ...more,
});

async function journal(): Promise<Record<string, string | number[]>[]> {
  await must(["journalctl", `--namespace=${namespace}`, "--sync"]).catch(() => undefined);
  const text = await must(["journalctl", `--namespace=${namespace}`, `CONTAINER_ID_FULL=${id}`, "-a", "-o", "json"]);
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, string>);
}

test("fields, priorities, lines that are no text, pieces of long lines and entries larger than a datagram", async () => {
  const spec = makeSpec({}, { labels: { "com.example.tier": "front" } });
  const logConfig = { type: "journald", config: { labels: "com.example.tier", tag: "{{.Name}}" } };
  const record = makeRecord({ ...spec, hostConfig: { ...spec.hostConfig, logConfig } }, id);
  const driver = journaldDriver(record, socket);
  await driver.connect();
  const big = "x".repeat(600_000);
  await driver.send([
    entry("out"),
    entry("err", true),
    entry("two\nlines"),
    entry("\u0000\u0001\u00ff"),
    entry("piece", false, { partial: { id: "p", ordinal: 1, last: false } }),
    entry(big),
  ]);
  const entries = await eventually("all entries", async () => {
    const found = await journal();
    return found.length === 6 ? found : undefined;
  });
  expect(entries[0]).toMatchObject({
    MESSAGE: "out",
    PRIORITY: "6",
    CONTAINER_ID: "b".repeat(12),
    CONTAINER_ID_FULL: id,
    CONTAINER_NAME: "name",
    CONTAINER_TAG: "name",
    SYSLOG_IDENTIFIER: "name",
    COM_EXAMPLE_TIER: "front",
    SYSLOG_TIMESTAMP: "2026-01-02T03:04:05.678901234Z",
    CONTAINER_LOG_ORDINAL: "1",
  });
  expect(entries[1]).toMatchObject({ MESSAGE: "err", PRIORITY: "3", CONTAINER_LOG_ORDINAL: "2" });
  expect(entries[2]).toMatchObject({ MESSAGE: "two\nlines" });
  const bytes = entries[3]?.["MESSAGE"];
  expect(Array.isArray(bytes) ? Buffer.from(bytes).toString() : bytes).toBe("\u0000\u0001\u00ff");
  expect(entries[4]).toMatchObject({ MESSAGE: "piece", CONTAINER_PARTIAL_MESSAGE: "true", CONTAINER_PARTIAL_ID: "p" });
  expect(entries[5]?.["MESSAGE"]).toBe(big);
});

test("no journald", async () => {
  const driver = journaldDriver(makeRecord(makeSpec({}), id), "/nowhere/socket");
  await expect(driver.connect()).rejects.toThrow("journald is not enabled on this host");
});
