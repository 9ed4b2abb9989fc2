import { BerthError } from "@berth/errors";
import type { PortBinding } from "../../rpc/types.ts";
import type { HostConfigBody } from "./body.ts";

type PortBindings = NonNullable<HostConfigBody["PortBindings"]>;

/** @throws INVALID_ARGUMENT `invalid port specification: "x"` */
export function checkPortBindings(bindings: PortBindings): void {
  for (const [port, hosts] of Object.entries(bindings)) {
    const number = port.split("/")[0] ?? "";
    // A port without a number is one with number 0, to Docker's parser.
    if (number !== "" && !isPort(number)) throw invalidPort(number);
    for (const { HostPort = "" } of hosts ?? []) {
      if (HostPort !== "" && !isPortOrRange(HostPort)) throw invalidPort(HostPort);
    }
  }
}

/** Bindings one by one, their ports as they were given. */
export function portBindings(bindings: PortBindings): PortBinding[] {
  return Object.entries(bindings).flatMap(([port, hosts]) =>
    (hosts ?? []).map(({ HostIp = "", HostPort = "" }) => ({
      containerPort: port,
      hostIp: HostIp,
      hostPort: HostPort,
    })),
  );
}

function isPort(text: string): boolean {
  return /^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535;
}

function isPortOrRange(text: string): boolean {
  const [first = "", last, ...more] = text.split("-");
  if (more.length > 0 || !isPort(first)) return false;
  return last === undefined || (isPort(last) && Number(last) >= Number(first));
}

function invalidPort(text: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", `invalid port specification: ${JSON.stringify(text.slice(0, 64))}`);
}
