import {
  ContainerConfig,
  HostConfig,
  Resources as ResourcesMessage,
  type ContainerSpec as SpecMessage,
} from "@berth/api/containers";
import { invalid } from "../domain/errors.ts";
import type { ContainerSpec, Resources } from "../domain/model.ts";

/** A spec off the wire: absent messages become empty ones, so that the domain need not ask. */
export function decodeSpec(message: SpecMessage | undefined): ContainerSpec {
  if (message === undefined) throw invalid("spec is missing");
  const hostConfig = message.hostConfig ?? HostConfig.create();
  return {
    ...message,
    config: message.config ?? ContainerConfig.create(),
    hostConfig: {
      ...hostConfig,
      logConfig: hostConfig.logConfig ?? { type: "", config: {} },
      restartPolicy: hostConfig.restartPolicy ?? { name: "", maximumRetryCount: 0 },
      resources: decodeResources(hostConfig.resources),
    },
  };
}

export const decodeResources = (message: ResourcesMessage | undefined): Resources =>
  message ?? ResourcesMessage.create();
