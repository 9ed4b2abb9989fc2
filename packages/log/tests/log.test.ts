import { expect, it } from "vitest";
import { createLogger } from "../src/index.ts";

function capture(level?: string) {
  const lines: string[] = [];
  const log = createLogger({ service: "test", level, destination: { write: (line) => lines.push(line) } });
  return { log, records: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

it("writes one JSON record a line with service, level and time", () => {
  const { log, records } = capture();
  log.child({ container: "abc" }).info("started");
  expect(records()).toEqual([
    expect.objectContaining({ service: "test", level: "info", container: "abc", msg: "started" }),
  ]);
  expect(String(records()[0]?.time)).toMatch(/^\d{4}-\d\d-\d\dT/);
});

it("keeps secrets out, at each depth it promises", () => {
  const { log, records } = capture();
  log.info({ password: "hunter2", registry: { token: "hunter2", nested: { auth: "hunter2" } } }, "login");
  expect(JSON.stringify(records())).not.toContain("hunter2");
});

it("honours the level", () => {
  const { log, records } = capture("warn");
  log.info("no");
  log.warn("yes");
  expect(records()).toHaveLength(1);
});
