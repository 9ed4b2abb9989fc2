import { UsageError } from "../flags.ts";

interface Binding {
  HostIp: string;
  HostPort: string;
}

/** --publish [ip:][host:]container[/protocol], ranges too, and --expose. @throws UsageError */
export function publishedPorts(
  publish: readonly string[],
  expose: readonly string[],
): { bindings: Record<string, Binding[]>; exposed: string[] } {
  const bindings: Record<string, Binding[]> = {};
  for (const text of publish) {
    const match =
      /^(?:(?:(\[[0-9a-fA-F:]+\]|[0-9.]+):)?([0-9]*(?:-[0-9]+)?):)?([0-9]+(?:-[0-9]+)?)(?:\/(tcp|udp|sctp))?$/.exec(
        text,
      );
    if (match === null) throw new UsageError(`invalid publish "${text}", expected [ip:][host:]port[/tcp|udp|sctp]`);
    const [, ip = "", host = "", container = "", protocol = "tcp"] = match;
    const inside = range(container);
    const outside = host === "" ? [] : range(host);
    if (outside.length > 1 && inside.length > 1 && outside.length !== inside.length) {
      throw new UsageError(`invalid publish "${text}": the two ranges have different lengths`);
    }
    for (const [index, port] of inside.entries()) {
      const key = `${port}/${protocol}`;
      const hostPort = inside.length > 1 ? String(outside[index] ?? "") : host;
      bindings[key] = [...(bindings[key] ?? []), { HostIp: ip.replace(/^\[(.*)\]$/, "$1"), HostPort: hostPort }];
    }
  }
  const extra = expose.flatMap((text) => {
    const [ports = "", protocol = "tcp"] = text.split("/");
    if (!/^[0-9]+(-[0-9]+)?$/.test(ports)) throw new UsageError(`invalid port "${text}" for --expose`);
    return range(ports).map((port) => `${port}/${protocol}`);
  });
  return { bindings, exposed: [...new Set([...Object.keys(bindings), ...extra])] };
}

function range(text: string): number[] {
  const [first = 0, last = first] = text.split("-").map(Number);
  if (last < first || last > 65_535) throw new UsageError(`invalid port range "${text}"`);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
