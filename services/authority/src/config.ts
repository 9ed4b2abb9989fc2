import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";

/** Long enough for a day without the authority, short enough that a lost key is soon worthless. */
const dayMs = 24 * 3_600_000;

const spec = {
  certificateTtl: {
    env: "BERTH_CERTIFICATE_TTL",
    flag: "certificate-ttl",
    type: "duration",
    default: dayMs,
    min: 10_000,
    max: 90 * dayMs,
    doc: "how long certificates are good; they are renewed at two thirds of it",
  },
} as const satisfies ConfigSpec;

export type AuthorityConfig = CommonConfig & ConfigOf<typeof spec>;

export const readConfig = (sources?: Sources): AuthorityConfig => readServiceConfig("authority", spec, sources);
