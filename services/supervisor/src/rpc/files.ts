import {
  ChangeKind,
  type DeepPartial,
  type PathStat,
  type SupervisorDefinition,
  type WriteArchiveRequest,
} from "@berth/api/containers";
import { type Implementation, untilEnd } from "@berth/rpc";
import type { Engine } from "../domain/engine.ts";
import { invalid } from "../domain/errors.ts";
import { type FileStat, readArchive, receiveArchive, statPath, writeArchive } from "../domain/files/archive.ts";
import { changesOf } from "../domain/files/changes.ts";
import { commit } from "../domain/files/commit.ts";
import { exportContainer } from "../domain/files/export.ts";

/** Changes in one message: far below a message's bound with paths of 4 KiB. */
const changesAtOnce = 1000;
const kinds = [ChangeKind.MODIFIED, ChangeKind.ADDED, ChangeKind.DELETED];

/** Files of containers. */
export function fileCalls(engine: Engine) {
  const { parts } = engine;
  /** Where a caller may hand over its client's connection: only one on this host can. */
  const inboxFor = (hostId: string) => (hostId === parts.hostId ? parts.paths.inbox() : null);
  const handover = (socket: string) => ({ message: { $case: "handover" as const, value: { socket } } });
  return {
    async statPath({ container, path }) {
      return { stat: encodeStat(await statPath(parts, engine.find(container), path, container)) };
    },
    async *readArchive({ container, path, hostId }, { signal }) {
      const inbox = inboxFor(hostId);
      const { stat, pieces } = await readArchive(parts, engine.find(container), path, container, inbox, signal);
      try {
        yield { message: { $case: "stat" as const, value: encodeStat(stat) } };
        if (inbox !== null) yield handover(inbox);
        for await (const value of pieces) yield { message: { $case: "data" as const, value } };
      } finally {
        await pieces.return();
      }
    },
    async writeArchive(requests, { signal }) {
      const input = requests[Symbol.asyncIterator]();
      const first = await input.next();
      const message = first.done ? undefined : first.value.message;
      if (message?.$case !== "start") throw invalid("the first message must be start");
      const { container, path, noOverwriteDirNonDir, copyUidGid } = message.value;
      const options = { path, noOverwriteDirNonDir, copyUidGid, reference: container };
      await writeArchive(parts, engine.find(container), options, untilEnd(dataOf(input)), signal);
      return {};
    },
    async *receiveArchive({ start, hostId }, { signal }) {
      if (start === undefined || inboxFor(hostId) === null)
        throw invalid("the caller is on another host than the container");
      const { container, path, noOverwriteDirNonDir, copyUidGid } = start;
      const options = { path, noOverwriteDirNonDir, copyUidGid, reference: container };
      const opened = Promise.withResolvers<string>();
      const received = receiveArchive(parts, engine.find(container), options, opened.resolve, signal);
      received.catch(opened.reject);
      yield handover(await opened.promise);
      yield { message: { $case: "received" as const, value: { reusable: await received } } };
    },
    async *export({ container, hostId }, { signal }) {
      const inbox = inboxFor(hostId);
      const pieces = await exportContainer(parts, engine.find(container), inbox, signal);
      try {
        if (inbox !== null) yield { handover: { socket: inbox } };
        for await (const data of pieces) yield { data };
      } finally {
        await pieces.return();
      }
    },
    async *changes({ container }) {
      const changes = await changesOf(engine.find(container));
      for (let at = 0; at < changes.length; at += changesAtOnce) {
        const some = changes.slice(at, at + changesAtOnce);
        yield { changes: some.map(({ kind, path }) => ({ path, kind: kinds[kind] as ChangeKind })) };
      }
    },
    async commit({ container, ...options }, { signal }) {
      return { imageId: await commit(parts, engine.find(container), options, signal) };
    },
  } satisfies Partial<Implementation<typeof SupervisorDefinition>>;
}

const encodeStat = ({ name, size, mode, mtimeSeconds, mtimeNanos, target }: FileStat): DeepPartial<PathStat> => ({
  name,
  size,
  mode,
  mtime: { seconds: mtimeSeconds, nanos: mtimeNanos },
  linkTarget: target,
});

async function* dataOf(input: AsyncIterator<WriteArchiveRequest>): AsyncGenerator<Buffer> {
  for (;;) {
    const { value, done } = await input.next();
    if (done) return;
    if (value.message?.$case === "data") yield value.message.value as Buffer;
  }
}
