import type { ContainerFacts } from "@berth/bus";
import type { ContainerSpec } from "../model.ts";

const maxCommand = 512; // characters
const maxLabels = 8 * 1024; // bytes of JSON

/** What stands beside a container's name in the names that all hosts agree on: enough to list it while its node is away. */
export function factsOf({ config, imageId }: ContainerSpec, created: number): ContainerFacts {
  const words = [...config.entrypoint, ...config.cmd].map((word) => (word.includes(" ") ? `'${word}'` : word));
  const isShort = Buffer.byteLength(JSON.stringify(config.labels)) <= maxLabels;
  return {
    image: config.image,
    imageId,
    command: words.join(" ").slice(0, maxCommand),
    created,
    labels: isShort ? config.labels : {},
  };
}
