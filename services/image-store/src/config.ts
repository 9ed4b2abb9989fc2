import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";

const spec = {
  faultPoint: {
    env: "BERTH_IMAGE_STORE_FAULT_POINT",
    flag: "fault-point",
    type: "string",
    optional: true,
    doc: "for tests: the write at which the process kills itself",
  },
} as const satisfies ConfigSpec;

export type ImageStoreConfig = CommonConfig & ConfigOf<typeof spec>;

export const readConfig = (sources?: Sources): ImageStoreConfig => readServiceConfig("image-store", spec, sources);
