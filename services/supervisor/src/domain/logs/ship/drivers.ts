import type { ContainerRecord } from "../../model.ts";
import { driverOf } from "../options/validate.ts";
import type { LogDriver } from "./driver.ts";
import { fluentdDriver } from "./fluentd.ts";
import { gelfDriver } from "./gelf.ts";
import { journaldDriver } from "./journald.ts";
import { syslogDriver } from "./syslog.ts";

const makers: Record<string, ((record: ContainerRecord) => LogDriver & { async?: boolean }) | undefined> = {
  syslog: syslogDriver,
  fluentd: fluentdDriver,
  gelf: gelfDriver,
  journald: (record) => journaldDriver(record),
};

/** True when the log goes to a server, from the container's local copy. */
export const isSentAway = ({ spec }: ContainerRecord): boolean =>
  makers[driverOf(spec.hostConfig.logConfig)] !== undefined;

/** @throws LogOptionError, Error in the words of Docker */
export function makeDriver(record: ContainerRecord): LogDriver & { async?: boolean } {
  const make = makers[driverOf(record.spec.hostConfig.logConfig)];
  if (make === undefined) throw new Error("the log of this container stays here");
  return make(record);
}
