import {
  type DeepPartial,
  LayerStatus,
  type PullResponse,
  type RegistryAuth,
  type RegistryProxyDefinition,
} from "@berth/api/registry";
import type { Platform as PlatformMessage } from "@berth/api/types";
import type { Logger } from "@berth/log";
import type { Platform } from "@berth/oci";
import type { Implementation } from "@berth/rpc";
import type { Puller } from "../domain/puller.ts";
import { anonymous, type Credentials } from "../domain/registry/auth.ts";
import type { LayerState, PullMessage } from "../domain/sink.ts";

/** berth.registry.v1.RegistryProxy: decodes, calls the domain, encodes. */
export function registryProxyService(puller: Puller, log: Logger): Implementation<typeof RegistryProxyDefinition> {
  return {
    async *pull({ reference, platform, auth }, { signal }) {
      const start = performance.now();
      for await (const message of puller.pull(reference, decodePlatform(platform), decodeAuth(auth), signal)) {
        if (message.kind === "done") {
          const { digest, changed } = message;
          log.info({ reference, digest, changed, ms: Math.round(performance.now() - start) }, "pulled");
        }
        yield encodeMessage(message);
      }
    },

    async resolve({ reference, auth }, { signal }) {
      const { descriptor, platforms } = await puller.resolve(reference, decodeAuth(auth), signal);
      return { descriptor, platforms: platforms.map((platform) => ({ ...platform })) };
    },

    async login({ auth }, { signal }) {
      return { identityToken: await puller.login(auth?.serverAddress ?? "", decodeAuth(auth), signal) };
    },

    async search({ term, limit, auth }, { signal }) {
      const bounded = Math.max(1, Math.min(limit, 100));
      return { results: await puller.search({ term, limit: bounded, credentials: decodeAuth(auth) }, signal) };
    },

    async *fetch({ url }, { signal }) {
      const { body, ...found } = await puller.fetch(url, signal);
      yield { message: { $case: "found", value: found } };
      for await (const data of body) yield { message: { $case: "data", value: data } };
    },
  };
}

const states: Record<LayerState, LayerStatus> = {
  waiting: LayerStatus.WAITING,
  downloading: LayerStatus.DOWNLOADING,
  verifying: LayerStatus.VERIFYING,
  downloaded: LayerStatus.DOWNLOADED,
  exists: LayerStatus.EXISTS,
  retrying: LayerStatus.RETRYING,
};

function encodeMessage(message: PullMessage): DeepPartial<PullResponse> {
  switch (message.kind) {
    case "resolved":
      return { message: { $case: "resolved", value: message } };
    case "plan":
      return { message: { $case: "plan", value: message } };
    case "layer": {
      const { digest, state, current, total, retryIn } = message;
      const value = { digest, status: states[state], current, total, retryInSeconds: retryIn };
      return { message: { $case: "layer", value } };
    }
    case "done":
      return { message: { $case: "done", value: message } };
  }
}

function decodePlatform(message: PlatformMessage | undefined): Platform | undefined {
  if (message === undefined || (message.os === "" && message.architecture === "")) return undefined;
  const platform: Platform = { os: message.os, architecture: message.architecture };
  if (message.variant !== "") platform.variant = message.variant;
  if (message.osVersion !== "") platform.osVersion = message.osVersion;
  return platform;
}

function decodeAuth(auth: RegistryAuth | undefined): Credentials {
  if (auth === undefined) return anonymous;
  const { username, password, identityToken, registryToken } = auth;
  return { username, password, identityToken, registryToken };
}
