import { type CommonConfig, type ConfigOf, type ConfigSpec, readServiceConfig, type Sources } from "@berth/config";

const spec = {
  parallel: {
    env: "BERTH_SNAPSHOTTER_PARALLEL",
    flag: "parallel",
    type: "number",
    default: 6,
    min: 1,
    max: 64,
    doc: "layers unpacked at once; each takes two threads and about 3 MiB",
  },
  maxLayerBytes: {
    env: "BERTH_SNAPSHOTTER_MAX_LAYER_BYTES",
    flag: "max-layer-bytes",
    type: "number",
    default: 256 * 1024 ** 3,
    min: 1024 ** 2,
    max: 2 ** 53 - 1,
    doc: "bytes that one layer may unpack to; a larger one is refused",
  },
  layerGrace: {
    env: "BERTH_SNAPSHOTTER_LAYER_GRACE",
    flag: "layer-grace",
    type: "duration",
    default: 120_000,
    min: 0,
    max: 86_400_000,
    doc: "how long a layer that was just unpacked waits for an image to name it; then it is removed",
  },
  faultPoint: {
    env: "BERTH_SNAPSHOTTER_FAULT_POINT",
    flag: "fault-point",
    type: "string",
    optional: true,
    doc: "for tests: the write at which the process kills itself",
  },
} as const satisfies ConfigSpec;

export type SnapshotterConfig = CommonConfig & ConfigOf<typeof spec>;

export const readConfig = (sources?: Sources): SnapshotterConfig => readServiceConfig("snapshotter", spec, sources);
