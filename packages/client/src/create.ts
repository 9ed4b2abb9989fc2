import {
  ContainerConfig,
  type ContainerSpec,
  type DeepPartial,
  EndpointSpec,
  HostConfig,
  type MountSpec,
} from "@berth/api/containers";
import type { Image } from "@berth/api/images";
import type { Platform } from "@berth/api/types";
import { BerthError } from "@berth/errors";
import { type HealthcheckConfig, type ImageDefaults, mergeImage } from "@berth/oci";

/** What is to run. Fields of `config` and `hostConfig` mean what the Engine API's do (POST /containers/create). */
export interface CreateContainer {
  /** Made up unless given. */
  name?: string | undefined;
  /** Name, id or digest of an image that is there. */
  image: string;
  /** Laid over the image's own: command, environment, user, labels, … */
  config?: DeepPartial<ContainerConfig> | undefined;
  /** Limits, mounts, ports, restart policy, networks, … */
  hostConfig?: DeepPartial<HostConfig> | undefined;
  endpoints?: DeepPartial<EndpointSpec>[] | undefined;
  platform?: DeepPartial<Platform> | undefined;
  /** The same key again gives the same container: with one, the client asks again when the connection is lost. */
  idempotencyKey?: string | undefined;
}

/** bytes; Docker's default size of /dev/shm */
const defaultShm = 64 * 1024 * 1024;

/**
 * A whole specification, as a node wants it: the image's settings below the container's own, and Docker's defaults. `find` looks up images
 * that are mounted.
 * @internal
 * @throws INVALID_ARGUMENT where there is no command
 */
export async function specOf(
  { image: reference, config = {}, hostConfig = {}, endpoints = [] }: CreateContainer,
  image: Image,
  find: (reference: string) => Promise<Image>,
): Promise<DeepPartial<ContainerSpec>> {
  const own = ContainerConfig.fromPartial(config);
  const { mounts, ...host } = withDefaults(HostConfig.fromPartial(hostConfig));
  return {
    config: merged({ ...own, image: reference }, defaultsOf(image)),
    hostConfig: { ...host, mounts: await Promise.all(mounts.map((mount) => withImage(mount, find))) },
    endpoints: endpoints.map((endpoint) => EndpointSpec.fromPartial(endpoint)),
    imageId: image.id,
    imageManifest: { digest: image.manifestDigest, platform: image.platform },
    layers: image.layers,
    platform: image.platform,
  };
}

/** The image's "config" object (OCI image-spec, config.md). */
function defaultsOf({ config }: Image): ImageDefaults {
  const whole = JSON.parse(config.toString("utf8")) as { config?: ImageDefaults | null };
  return whole.config ?? {};
}

function merged(own: ContainerConfig, image: ImageDefaults): DeepPartial<ContainerConfig> {
  const { healthcheck, ...rest } = mergeImage(
    {
      User: own.user,
      ExposedPorts: own.exposedPorts,
      Env: own.env,
      Entrypoint: own.entrypoint,
      Cmd: own.cmd,
      Volumes: own.volumes,
      WorkingDir: own.workingDir,
      Labels: own.labels,
      StopSignal: own.stopSignal,
      Healthcheck: own.healthcheck && {
        Test: own.healthcheck.test,
        Interval: own.healthcheck.interval,
        Timeout: own.healthcheck.timeout,
        StartPeriod: own.healthcheck.startPeriod,
        StartInterval: own.healthcheck.startInterval,
        Retries: own.healthcheck.retries,
      },
      Shell: own.shell.length === 0 ? undefined : own.shell,
    },
    image,
  );
  if (rest.cmd.length === 0 && rest.entrypoint.length === 0)
    throw new BerthError("INVALID_ARGUMENT", "no command specified");
  return { ...own, ...rest, healthcheck: healthcheck && checkOf(healthcheck) };
}

const checkOf = (check: HealthcheckConfig) => ({
  test: check.Test ?? [],
  interval: check.Interval ?? 0,
  timeout: check.Timeout ?? 0,
  startPeriod: check.StartPeriod ?? 0,
  startInterval: check.StartInterval ?? 0,
  retries: check.Retries ?? 0,
});

function withDefaults(host: HostConfig): HostConfig {
  return {
    ...host,
    logConfig: { type: host.logConfig?.type || "json-file", config: host.logConfig?.config ?? {} },
    networkMode: host.networkMode === "" || host.networkMode === "default" ? "bridge" : host.networkMode,
    restartPolicy: {
      name: host.restartPolicy?.name || "no",
      maximumRetryCount: host.restartPolicy?.maximumRetryCount ?? 0,
    },
    ipcMode: host.ipcMode || "private",
    shmSize: host.shmSize || defaultShm,
  };
}

async function withImage(mount: MountSpec, find: (reference: string) => Promise<Image>): Promise<MountSpec> {
  if (mount.type !== "image") return mount;
  const { id, layers } = await find(mount.source);
  return { ...mount, imageId: id, imageLayers: layers };
}
