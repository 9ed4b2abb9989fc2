import { createHash } from "node:crypto";
import {
  hostPlatform,
  isIndexType,
  type Platform,
  parseConfig,
  parseIndex,
  parseManifest,
  parseReference,
  type Reference,
  referenceString,
  withDefaultTag,
} from "@berth/oci";
import { type Fetched, fetchUrl } from "./fetch.ts";
import { Flights } from "./flights.ts";
import { login } from "./login.ts";
import { pull } from "./pull.ts";
import { type Credentials, TokenCache } from "./registry/auth.ts";
import { RegistryClient, type RegistryShared } from "./registry/client.ts";
import { endpointOf } from "./registry/endpoint.ts";
import { pullFailure } from "./registry/failure.ts";
import { Http, type Timeouts } from "./registry/http.ts";
import { type SearchResult, search } from "./search.ts";
import type { ImageSink, PullMessage, Resolved } from "./sink.ts";
import { Slots } from "./slots.ts";

export interface PullerOptions {
  sink: ImageSink;
  insecureRegistries: readonly string[];
  /** Layers on their way at a time. */
  parallel: number;
  timeouts: Timeouts;
  /** For tests, see download(). */
  pauses?: readonly number[];
}

/** What the service does: pulls images, and tells what registries have. */
export class Puller {
  readonly #options: PullerOptions;
  readonly #shared: RegistryShared;
  readonly #slots: Slots;
  readonly #flights = new Flights();

  constructor(options: PullerOptions) {
    this.#options = options;
    this.#slots = new Slots(options.parallel);
    this.#shared = {
      http: new Http(options.timeouts),
      tokens: new TokenCache(),
      schemes: new Map(),
      userAgent: "berth/0.1.0",
    };
  }

  /**
   * Pulls; callers who want the same at the same time share one download.
   * @param name as a person types it
   * @throws INVALID_ARGUMENT, NOT_FOUND, FORBIDDEN, UNAVAILABLE, DATA_LOSS; texts as Docker's
   */
  pull(
    name: string,
    platform: Platform | undefined,
    credentials: Credentials,
    signal: AbortSignal,
  ): AsyncGenerator<PullMessage> {
    const reference = parseReference(name);
    const key = flightKey(reference, platform, credentials);
    const { sink, pauses } = this.#options;
    const parts = { client: this.#client(reference, credentials), sink, slots: this.#slots, ...(pauses && { pauses }) };
    return this.#flights.join(key, signal, async (tell, flightSignal) => {
      try {
        await pull(parts, { reference, platform, tell, signal: flightSignal });
      } catch (error) {
        throw pullFailure(error, withDefaultTag(reference));
      }
    });
  }

  /** What a registry has under a name: the descriptor, and the platforms it is for. Throws as {@link pull}. */
  async resolve(name: string, credentials: Credentials, signal: AbortSignal): Promise<Resolved> {
    const reference = withDefaultTag(parseReference(name));
    const client = this.#client(reference, credentials);
    try {
      const top = await client.manifest(reference.digest ?? reference.tag ?? "", signal);
      const { mediaType, digest, content } = top;
      const descriptor = { mediaType, digest, size: content.length };
      if (isIndexType(mediaType)) {
        const { manifests } = parseIndex(content, mediaType);
        return { descriptor, platforms: manifests.flatMap((entry) => entry.platform ?? []) };
      }
      const { config } = parseManifest(content, mediaType);
      const { platform } = parseConfig(await client.document(config.digest, config.size, signal));
      return { descriptor, platforms: [platform] };
    } catch (error) {
      throw pullFailure(error, reference);
    }
  }

  /** See {@link login}. */
  login(address: string, credentials: Credentials, signal: AbortSignal): Promise<string> {
    return login(this.#shared, this.#options.insecureRegistries, address, credentials, signal);
  }

  /** See {@link search}. */
  search(
    query: { term: string; limit: number; credentials: Credentials },
    signal: AbortSignal,
  ): Promise<SearchResult[]> {
    return search(this.#shared, this.#options.insecureRegistries, query, signal);
  }

  /** See {@link fetchUrl}. */
  fetch(address: string, signal: AbortSignal): Promise<Fetched> {
    return fetchUrl(this.#shared, address, signal);
  }

  close(): Promise<void> {
    return this.#shared.http.close();
  }

  #client(reference: Reference, credentials: Credentials): RegistryClient {
    const endpoint = endpointOf(reference, this.#options.insecureRegistries);
    return new RegistryClient(this.#shared, endpoint, reference, credentials);
  }
}

/** Two callers with other credentials may see other things: they don't share. */
function flightKey(reference: Reference, platform: Platform | undefined, credentials: Credentials): string {
  const parts = [referenceString(withDefaultTag(reference)), platform ?? hostPlatform(), Object.values(credentials)];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
