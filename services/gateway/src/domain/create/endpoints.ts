import { isIPv4, isIPv6 } from "node:net";
import { BerthError } from "@berth/errors";
import type { EndpointSpec } from "../../rpc/types.ts";
import type { CreateBody } from "./body.ts";

type Settings = NonNullable<NonNullable<NonNullable<CreateBody["NetworkingConfig"]>["EndpointsConfig"]>[string]>;

const builtIn = ["bridge", "host", "none"];

/** Checks the settings of all networks, with all that is wrong in one text, as Docker. @throws INVALID_ARGUMENT */
export function checkEndpoints(body: CreateBody): void {
  const errors: string[] = [];
  for (const [network, settings] of Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {})) {
    const wrong = settings === null ? "EndpointsConfig is nil" : wrongSettings(network, settings);
    if (wrong !== "") errors.push(`invalid config for network ${network}: ${wrong}`);
  }
  if (errors.length > 0) throw new BerthError("INVALID_ARGUMENT", errors.join("\n"));
}

function wrongSettings(network: string, settings: Settings): string {
  const mac = settings.MacAddress ?? "";
  if (mac !== "" && !isMac(mac)) return `invalid MAC address ${mac}`;
  const wrong = wrongAddresses(network, settings);
  const isBuiltIn = builtIn.includes(network);
  if (isBuiltIn && (settings.Aliases ?? []).length > 0) {
    wrong.splice(
      wrong[0]?.startsWith("* user") ? 1 : 0,
      0,
      "* network-scoped alias is supported only for containers in user defined networks",
    );
  }
  for (const sysctl of settings.DriverOpts?.["com.docker.network.endpoint.sysctls"]?.split(",") ?? []) {
    if (!/^[^.]*\.(ipv4|ipv6|mpls)\.[^.]*\.(IFNAME|ifname)\../.test(sysctl)) {
      wrong.push(
        `* unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
      );
    }
  }
  if (wrong.length === 0) return "";
  const [only = ""] = wrong;
  return `invalid endpoint settings:\n${wrong.length === 1 ? only.slice(2) : wrong.join("\n")}`;
}

function wrongAddresses(network: string, { IPAMConfig: ipam }: Settings): string[] {
  const ipv4 = ipam?.IPv4Address ?? "";
  const ipv6 = ipam?.IPv6Address ?? "";
  const isBuiltIn = builtIn.includes(network);
  const found: string[] = [];
  if (isBuiltIn && (ipv4 !== "" || ipv6 !== "")) {
    found.push("* user specified IP address is supported on user defined networks only");
  }
  if (ipv4 !== "" && (!isIPv4(ipv4) || ipv4 === "0.0.0.0")) found.push(`* invalid IPv4 address: ${ipv4}`);
  if (ipv6 !== "" && !isIPv6(ipv6)) found.push(`* invalid IPv6 address: ${ipv6}`);
  for (const ip of ipam?.LinkLocalIPs ?? []) {
    if (!isIPv4(ip) && !isIPv6(ip)) found.push(`* invalid link-local IP address: ${ip}`);
  }
  if (isBuiltIn) {
    const subnets =
      "user specified IP address is supported only when connecting to networks with user configured subnets";
    if (ipv4 !== "") found.push(`* ${subnets}`);
    if (ipv6 !== "") found.push(`* ${subnets}`);
  }
  return found;
}

const isMac = (address: string): boolean =>
  /^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/.test(address) || /^([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$/.test(address);

/** Settings of the networks that have some of their own. */
export function endpointsOf(body: CreateBody): EndpointSpec[] {
  return Object.entries(body.NetworkingConfig?.EndpointsConfig ?? {}).flatMap(([network, settings]) =>
    settings === null
      ? []
      : [
          {
            network,
            macAddress: settings.MacAddress ?? "",
            ipv4Address: settings.IPAMConfig?.IPv4Address ?? "",
            ipv6Address: settings.IPAMConfig?.IPv6Address ?? "",
            aliases: settings.Aliases ?? [],
            links: settings.Links ?? [],
            driverOptions: settings.DriverOpts ?? {},
            gatewayPriority: settings.GwPriority ?? 0,
            linkLocalIps: settings.IPAMConfig?.LinkLocalIPs ?? [],
          },
        ],
  );
}
