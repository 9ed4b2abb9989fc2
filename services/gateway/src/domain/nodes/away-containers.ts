import type { NodeRecord } from "@berth/bus";
import {
  type Container,
  ContainerMessage,
  ContainerStatus,
  type ContainerSummary,
  ContainerSummaryMessage,
} from "../../rpc/types.ts";
import { hasLabel } from "../labels.ts";
import type { IndexedContainer } from "./container-index.ts";

/** What can be told of a container whose node is away. */
export function awaySummary(
  { name, containerId, nodeId, about }: IndexedContainer,
  node: NodeRecord,
): ContainerSummary {
  return ContainerSummaryMessage.fromPartial({
    id: containerId,
    name,
    nodeId,
    state: awayState(node),
    ...(about !== undefined && {
      image: about.image,
      imageId: about.imageId,
      path: about.command,
      created: { seconds: about.created, nanos: 0 },
      labels: about.labels,
    }),
  });
}

/** As {@link awaySummary}, for inspect: what is not known is left empty. */
export function awayContainer(container: IndexedContainer, node: NodeRecord): Container {
  const { containerId: id, name, nodeId, about } = container;
  const { path, created, labels, image, imageId, state } = awaySummary(container, node);
  const spec = { imageId, config: { image, labels } };
  const times = about === undefined ? {} : { created };
  return ContainerMessage.fromPartial({ id, name, nodeId, nodeName: node.name, spec, state, path, ...times });
}

function awayState({
  name,
  awaySince = "",
}: NodeRecord): NonNullable<Parameters<typeof ContainerMessage.fromPartial>[0]["state"]> {
  const since = Date.parse(awaySince) || 0;
  return {
    status: ContainerStatus.UNREACHABLE,
    error: `node ${name} is unreachable since ${awaySince}`,
    finishedAt: { seconds: Math.floor(since / 1000), nanos: (since % 1000) * 1_000_000 },
  };
}

type Filters = Readonly<Record<string, { values?: string[] } | undefined>>;

/** Filters that what is known can answer. Of any other an unreachable container can't be said to pass. */
const answers: Record<string, (summary: ContainerSummary, values: readonly string[]) => boolean> = {
  id: ({ id }, values) => values.some((value) => id.startsWith(value)),
  name: ({ name }, values) => values.some((value) => `/${name}`.includes(value.replace(/^\^?\/?|\$$/g, ""))),
  label: ({ labels }, values) => values.every((value) => hasLabel(labels, value)),
  ancestor: ({ imageId }, values) => values.includes(imageId),
};

export function passesAway(summary: ContainerSummary, filters: Filters): boolean {
  return Object.entries(filters).every(
    ([key, { values = [] } = {}]) => values.length === 0 || (answers[key]?.(summary, values) ?? false),
  );
}
