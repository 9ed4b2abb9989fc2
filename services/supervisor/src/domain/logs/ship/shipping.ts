import { errorMessage } from "@berth/errors";
import type { Container } from "../../containers/container.ts";
import type { Parts } from "../../containers/parts.ts";
import { isRunning } from "../../containers/state.ts";
import { loggingFailure } from "../options/monitor.ts";
import type { LogDriver } from "./driver.ts";
import { isSentAway, makeDriver } from "./drivers.ts";
import { Shipper } from "./shipper.ts";

/** ms that a removal waits for the rest of a log to be sent. */
const drainMs = 3_000;

/**
 * Before a start: as in Docker a server that can't be reached fails it (fluentd-async does not ask). A log of an earlier run that is
 * still being sent goes on. @throws START_FAILED
 */
export async function beginShipping(parts: Parts, container: Container): Promise<void> {
  if (!isSentAway(container.record)) return;
  let driver: (LogDriver & { async?: boolean }) | undefined;
  try {
    driver = makeDriver(container.record);
    if (driver.async !== true) await driver.connect();
  } catch (error) {
    driver?.close();
    const { code } = error as NodeJS.ErrnoException;
    // Docker takes a file that is not there for the user's mistake.
    throw code === "ENOENT" ? loggingFailure(errorMessage(error), "400") : loggingFailure(errorMessage(error));
  }
  if (container.shipper !== undefined) driver.close();
  else run(parts, container, driver, driver.async !== true);
}

/** After a start of this service: on with every log that is not sent yet. */
export function resumeShipping(parts: Parts): void {
  for (const container of parts.registry.all()) {
    if (isSentAway(container.record) && container.record.hasBeenStartedBefore) resumeOne(parts, container);
  }
}

function resumeOne(parts: Parts, container: Container): void {
  if (container.shipper !== undefined) return;
  try {
    run(parts, container, makeDriver(container.record), false);
  } catch (error) {
    parts.log.warn({ container: container.id, err: errorMessage(error) }, "a container's log can't be sent");
  }
}

function run(parts: Parts, container: Container, driver: LogDriver, connected: boolean): void {
  const { id, record } = container;
  const holds = record.spec.hostConfig.logConfig.config["mode"] === "blocking";
  const shipper = new Shipper({
    path: parts.paths.compactLog(id),
    driver,
    connected,
    position: parts.registry.shipped.get(id) ?? 0,
    // A start has been begun: its first byte may be a while away.
    isRunning: () => !container.removed && (isRunning(record) || record.starting),
    onChange: (watcher) => container.onChange(watcher),
    save: async (position) => {
      parts.registry.shipped.set(id, position);
      await parts.records.commitLazily({ shipped: { id, position } });
    },
    tell: holds ? (offset) => tellMonitor(container, offset) : undefined,
    log: parts.log,
  });
  container.shipper = shipper;
  void shipper.done.then((good) => {
    if (container.shipper === shipper) container.shipper = undefined;
    // Started again just when it had come to the end. One that broke down would do so again, at once and for ever.
    if (good && !shipper.stopped && !container.removed && (isRunning(record) || record.starting))
      resumeOne(parts, container);
  });
}

/** A monitor that has gone waits for nothing. */
async function tellMonitor(container: Container, offset: number): Promise<void> {
  if (isRunning(container.record))
    await container.monitor.request({ op: "log-shipped", offset }).catch(() => undefined);
}

/** Before a removal: the rest of the log is given some time to leave. */
export async function drainShipping(container: Container): Promise<void> {
  const { shipper } = container;
  if (shipper === undefined) return;
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, drainMs);
  });
  await Promise.race([shipper.done, enough]);
  clearTimeout(timer);
  await shipper.stop();
}
