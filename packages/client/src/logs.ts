import type { LogPlace } from "@berth/api/containers";
import { FrameReader, type OutputPiece } from "./frames.ts";
import { given, type Link } from "./link.ts";
import { type Moment, timestampOf } from "./moment.ts";

export interface LogsQuery {
  /** Both outputs unless one is turned off. */
  stdout?: boolean | undefined;
  stderr?: boolean | undefined;
  since?: Moment | undefined;
  until?: Moment | undefined;
  /** Lines from the end; all unless given. */
  tail?: number | undefined;
  /** Each line begins with its time. */
  timestamps?: boolean | undefined;
  /** Goes on until the container ends. */
  follow?: boolean | undefined;
  /** Each line begins with the attributes that were asked for by log options. */
  details?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A log in pieces, over losses of the connection: what came is not asked for again.
 * @internal
 */
export async function* readLog(
  link: Link,
  { id, tty }: { id: string; tty: boolean },
  { stdout = true, stderr = true, since, until, tail, signal, ...rest }: LogsQuery,
): AsyncGenerator<OutputPiece> {
  const { timestamps = false, follow = false, details = false } = rest;
  const times = { since: timestampOf(since), until: timestampOf(until) };
  const request = { container: id, stdout, stderr, ...times, tail, timestamps, follow, details };
  const patience = link.patience();
  let from: LogPlace | undefined;
  for (;;) {
    try {
      // A piece ends with a record, so none is cut where the connection was.
      const frames = new FrameReader(tty);
      for await (const { data, place } of link.services.supervisor.logs({ ...request, from }, given({ signal }))) {
        patience.renew();
        yield* frames.read(data);
        from = place ?? from;
      }
      return;
    } catch (error) {
      await patience.after(error, signal);
    }
  }
}
