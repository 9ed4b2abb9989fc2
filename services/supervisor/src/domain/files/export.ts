import { readTree } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { conflict } from "../errors.ts";
import { rootView } from "./view.ts";

/**
 * A tar of the root file system without what is mounted in it, running or not; to be read to its end or returned. Inbox: see readArchive.
 * @throws CONFLICT
 */
export async function exportContainer(
  parts: Parts,
  container: Container,
  inbox: string | null,
  signal: AbortSignal,
): Promise<AsyncGenerator<Buffer, void>> {
  const { record } = container;
  if (record.removing) throw conflict(`You cannot export container ${record.id} which is being removed`);
  const { pieces } = await readTree(rootView(parts.paths, record), null, signal, inbox);
  return toldAtEnd(pieces, () =>
    parts.records.commitSoon({ events: [containerEvent(parts.nodeId, container.record, "export")] }),
  );
}

async function* toldAtEnd(pieces: AsyncGenerator<Buffer, void>, tell: () => void): AsyncGenerator<Buffer, void> {
  yield* pieces;
  tell();
}
