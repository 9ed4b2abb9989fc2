import { isNativeError, readTree, type TreeArchive } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { conflict } from "../errors.ts";
import { rootView, runningView } from "./view.ts";

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
  const { pieces } = await readRoot(parts, container, inbox, signal);
  return toldAtEnd(pieces, () =>
    parts.records.commitSoon({ events: [containerEvent(parts.nodeId, container.record, "export")] }),
  );
}

/**
 * Of a running container its own mount: the kernel warns of a second one of directories that are being written. What ends meanwhile is read as
 * what does not run, and so is every container where the kernel can't give its mount away.
 */
async function readRoot(
  { paths }: Parts,
  container: Container,
  inbox: string | null,
  signal: AbortSignal,
): Promise<TreeArchive> {
  const running = runningView(container);
  if (running?.kind === "process") {
    try {
      return await readTree({ ...running, alone: true }, null, signal, inbox);
    } catch (error) {
      if (!isNativeError(error) || !["ESRCH", "ENOSYS", "EINVAL"].includes(error.code)) throw error;
    }
  }
  return readTree(rootView(paths, container.record), null, signal, inbox);
}

async function* toldAtEnd(pieces: AsyncGenerator<Buffer, void>, tell: () => void): AsyncGenerator<Buffer, void> {
  yield* pieces;
  tell();
}
