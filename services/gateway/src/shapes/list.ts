import type { ContainerSummary } from "../rpc/types.ts";
import { ContainerStatus } from "../rpc/types.ts";
import { mountsJson, networksJson, statusName } from "./inspect.ts";
import { humanDuration, toMillis } from "./time.ts";

/**
 * One entry of GET /containers/json.
 * @param image how to show the image: as the user named it, or its id when that name means another one now
 */
export function summaryJson(
  container: ContainerSummary,
  image: string,
  minor: number,
  now = Date.now(),
): Record<string, unknown> {
  const { annotations, networkMode } = container;
  return {
    Id: container.id,
    Names: [container.name, ...container.linkNames].map((name) => `/${name}`).sort(),
    Image: image,
    ImageID: container.imageId,
    Command: commandText(container),
    Created: container.created?.seconds ?? 0,
    Ports: container.ports.map(portJson),
    ...(container.sizeRw === undefined || container.sizeRw === 0 ? {} : { SizeRw: container.sizeRw }),
    ...(container.sizeRootFs === undefined ? {} : { SizeRootFs: container.sizeRootFs }),
    Labels: container.labels,
    State: statusName(container.state),
    Status: statusText(container, now),
    HostConfig: {
      NetworkMode: networkMode || "bridge",
      ...(Object.keys(annotations).length === 0 || minor < 46 ? {} : { Annotations: annotations }),
    },
    NetworkSettings: { Networks: networksJson(container) },
    // Where a volume lies is told by inspect alone.
    Mounts: mountsJson(container).map((mount) => (mount.Type === "volume" ? { ...mount, Source: "" } : mount)),
  };
}

/** The command as Docker prints it: arguments with a blank inside in single quotes. */
export function commandText(container: ContainerSummary): string {
  const args = container.args.map((argument) => (argument.includes(" ") ? `'${argument}'` : argument));
  return [container.path, ...args].join(" ");
}

interface PortJson {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

function portJson(port: ContainerSummary["ports"][number]): PortJson {
  const [number, protocol = "tcp"] = port.containerPort.split("/");
  const privatePort = { PrivatePort: Number(number), Type: protocol };
  if (port.hostPort === 0) return privatePort;
  return { IP: port.hostIp, PrivatePort: Number(number), PublicPort: port.hostPort, Type: protocol };
}

function healthText(status: string | undefined): string {
  if (status === undefined) return "";
  return status === "starting" ? " (health: starting)" : ` (${status})`;
}

/** "Up 3 minutes (Paused)", "Exited (137) 2 hours ago", "Created" … */
export function statusText(container: ContainerSummary, now: number): string {
  const state = container.state;
  const up = humanDuration(now - toMillis(state?.startedAt));
  const ago = humanDuration(now - toMillis(state?.finishedAt));
  switch (state?.status) {
    case ContainerStatus.RUNNING:
      return `Up ${up}${healthText(state.health?.status)}`;
    case ContainerStatus.PAUSED:
      return `Up ${up} (Paused)`;
    case ContainerStatus.RESTARTING:
      return `Restarting (${state.exitCode}) ${ago} ago`;
    case ContainerStatus.EXITED:
      return `Exited (${state.exitCode}) ${ago} ago`;
    case ContainerStatus.REMOVING:
      return "Removal In Progress";
    case ContainerStatus.DEAD:
      return "Dead";
    case ContainerStatus.UNREACHABLE:
      return `Unreachable for ${ago}`;
    default:
      return "Created";
  }
}
