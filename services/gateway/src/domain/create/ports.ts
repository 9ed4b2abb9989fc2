import { BerthError } from "@berth/errors";
import type { PortBinding } from "../../rpc/types.ts";
import type { HostConfigBody } from "./body.ts";

type PortBindings = NonNullable<HostConfigBody["PortBindings"]>;

/** "80" and "80/TCP" are "80/tcp". */
export function normalizePort(port: string): string {
  const [number = "", protocol = "tcp"] = port.split("/");
  return `${number}/${protocol.toLowerCase()}`;
}

/** @throws INVALID_ARGUMENT `invalid port specification: "x"` */
export function checkPortBindings(bindings: PortBindings): void {
  for (const [port, hosts] of Object.entries(bindings)) {
    const number = port.split("/")[0] ?? "";
    if (!isPort(number)) throw invalidPort(number);
    for (const { HostPort = "" } of hosts) {
      if (HostPort !== "" && !isPortOrRange(HostPort)) throw invalidPort(HostPort);
    }
  }
}

/** Bindings one by one. A port with an empty list is published at a port of the engine's choice, as Docker does. */
export function portBindings(bindings: PortBindings): PortBinding[] {
  return Object.entries(bindings).flatMap(([port, hosts]) =>
    hosts.map(({ HostIp = "", HostPort = "" }) => ({
      containerPort: normalizePort(port),
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
