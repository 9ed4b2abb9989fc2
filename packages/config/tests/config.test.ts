import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseDuration, readConfig, readServiceConfig, usage } from "../src/index.ts";

const spec = {
  workers: { env: "BERTH_TEST_WORKERS", flag: "workers", type: "number", default: 3, min: 1, max: 64, doc: "workers" },
  patience: { env: "BERTH_TEST_PATIENCE", flag: "patience", type: "duration", default: 1000, doc: "how long" },
  mirrors: { env: "BERTH_TEST_MIRRORS", flag: "mirror", type: "list", default: [], doc: "mirrors" },
  quiet: { env: "BERTH_TEST_QUIET", flag: "quiet", type: "boolean", default: false, doc: "say less" },
  mode: { env: "BERTH_TEST_MODE", flag: "mode", type: "string", optional: true, choices: ["a", "b"], doc: "mode" },
} as const;

const read = (argv: string[], env: NodeJS.ProcessEnv = {}) => readConfig(spec, { argv, env, envPrefix: "BERTH_TEST_" });

describe("readConfig", () => {
  it("takes defaults, then the environment, then flags", () => {
    expect(read([])).toEqual({ workers: 3, patience: 1000, mirrors: [], quiet: false, mode: undefined });
    const env = { BERTH_TEST_WORKERS: "5", BERTH_TEST_MIRRORS: "x, y", BERTH_TEST_QUIET: "yes" };
    expect(read([], env)).toMatchObject({ workers: 5, mirrors: ["x", "y"], quiet: true });
    const argv = ["--workers=7", "--mirror", "p", "--mirror", "q,r", "--no-quiet", "--patience", "1m30s"];
    expect(read(argv, env)).toMatchObject({ workers: 7, mirrors: ["p", "q", "r"], quiet: false, patience: 90_000 });
  });

  it("is frozen", () => {
    expect(Object.isFrozen(read([]))).toBe(true);
  });

  it.each([
    [["--workers", "many"], {}, '--workers: "many" is not valid, expected a number'],
    [["--workers", "65"], {}, '--workers: "65" is not valid, expected a number between 1 and 64'],
    [["--mode", "c"], {}, '--mode: "c" is not valid, expected one of a, b'],
    [["--patience", "soon"], {}, '--patience: "soon" is not valid, expected a duration'],
    [["--colour"], {}, "unknown flag --colour"],
    [["stray"], {}, 'unexpected argument "stray"'],
    [["--workers"], {}, "--workers expects a value"],
    [[], { BERTH_TEST_QUIET: "perhaps" }, 'BERTH_TEST_QUIET: "perhaps" is not valid, expected true or false'],
    [[], { BERTH_TEST_WROKERS: "1" }, "unknown setting BERTH_TEST_WROKERS"],
  ])("refuses %j %j", (argv, env, message) => {
    expect(() => read(argv, env)).toThrow(message);
  });

  it("says what is missing", () => {
    const required = { key: { env: "BERTH_KEY", flag: "key", type: "string", doc: "the key" } } as const;
    expect(() => readConfig(required, { env: {}, argv: [] })).toThrow("BERTH_KEY (or --key) is required: the key");
  });

  it("prints its own help", () => {
    expect(usage(spec)).toContain("--workers NUMBER");
  });
});

it("parses durations to milliseconds", () => {
  expect(["250", "250ms", "1.5s", "2m", "1h30m", "1d"].map(parseDuration)).toEqual([
    250, 250, 1500, 120_000, 5_400_000, 86_400_000,
  ]);
  expect(["", "s", "-1s", "1 s", "1x"].map(parseDuration)).toEqual(Array(5).fill(undefined));
});

describe("readServiceConfig", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "berth-config-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const service = (env: NodeJS.ProcessEnv = {}) =>
    readServiceConfig(
      "image-store",
      {},
      { env: { BERTH_ROOT: join(dir, "root"), BERTH_RUN_DIR: join(dir, "run"), ...env }, argv: [] },
    );

  it("fills in what depends on the service and keeps the ids", () => {
    const first = service();
    expect(first).toMatchObject({
      stateDir: join(dir, "root/image-store"),
      listen: [`unix:${dir}/run/image-store.sock`],
      metricsListen: `unix:${dir}/run/image-store.metrics.sock`,
      site: "default",
    });
    const second = service();
    expect([second.nodeId, second.hostId]).toEqual([first.nodeId, first.hostId]);
    expect(readdirSync(join(dir, "run"))).toEqual(["host-id"]);
  });

  it("takes ids and addresses when given, and checks them", () => {
    const given = service({
      BERTH_NODE_ID: "n1",
      BERTH_LISTEN: "unix:/x.sock,tcp:127.0.0.1:7000",
      BERTH_METRICS_LISTEN: "none",
    });
    expect(given).toMatchObject({
      nodeId: "n1",
      listen: ["unix:/x.sock", "tcp:127.0.0.1:7000"],
      metricsListen: undefined,
    });
    expect(() => service({ BERTH_NODE_ID: "a.b" })).toThrow("BERTH_NODE_ID");
    expect(() => service({ BERTH_LISTEN: "http://x" })).toThrow("expected unix:/PATH or tcp:HOST:PORT");
    expect(() => service({ BERTH_ROOT: "relative" })).toThrow("BERTH_ROOT");
    expect(() => service({ BERTH_IMAGE_STORE_COLOUR: "red" })).toThrow("BERTH_IMAGE_STORE_COLOUR");
  });
});
