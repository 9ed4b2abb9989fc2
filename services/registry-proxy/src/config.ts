import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";

const spec = {
  insecureRegistries: {
    env: "BERTH_INSECURE_REGISTRIES",
    flag: "insecure-registry",
    type: "list",
    default: [],
    doc: "registries (HOST, HOST:PORT, NETWORK/BITS) whose certificates are not checked and that may speak plain HTTP",
  },
  parallel: {
    env: "BERTH_MAX_CONCURRENT_DOWNLOADS",
    flag: "max-concurrent-downloads",
    type: "number",
    default: 3,
    min: 1,
    max: 64,
    doc: "layers fetched at a time",
  },
  connectTimeout: {
    env: "BERTH_REGISTRY_CONNECT_TIMEOUT",
    flag: "registry-connect-timeout",
    type: "duration",
    default: 15_000,
    doc: "time in which a registry must take a connection",
  },
  answerTimeout: {
    env: "BERTH_REGISTRY_ANSWER_TIMEOUT",
    flag: "registry-answer-timeout",
    type: "duration",
    default: 30_000,
    doc: "time in which a registry must begin to answer",
  },
  idleTimeout: {
    env: "BERTH_REGISTRY_IDLE_TIMEOUT",
    flag: "registry-idle-timeout",
    type: "duration",
    default: 30_000,
    doc: "time without a byte after which a download is tried again",
  },
} as const satisfies ConfigSpec;

export type RegistryProxyConfig = CommonConfig & ConfigOf<typeof spec>;

export const readConfig = (sources?: Sources): RegistryProxyConfig =>
  readServiceConfig("registry-proxy", spec, sources);
