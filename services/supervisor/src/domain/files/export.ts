import { readTree } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { conflict } from "../errors.ts";
import { rootView } from "./view.ts";

/** A tar of the root file system without what is mounted in it, running or not. @throws CONFLICT */
export async function* exportContainer(
  parts: Parts,
  container: Container,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const { record } = container;
  if (record.removing) throw conflict(`You cannot export container ${record.id} which is being removed`);
  const { pieces } = await readTree(rootView(parts.paths, record), null, signal);
  yield* pieces;
  parts.records.commitSoon({ events: [containerEvent(parts.nodeId, record, "export")] });
}
