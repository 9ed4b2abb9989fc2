import {
  type DeepPartial,
  MovePart_Kind as Kind,
  type MovePiece,
  type MovesDefinition,
  ReceiveContainerResponse_Phase as Phase,
  type ReceiveContainerRequest,
  type SendContainerRequest,
} from "@berth/api/containers";
import type { Implementation } from "@berth/rpc";
import { isActive } from "../domain/containers/state.ts";
import type { Engine } from "../domain/engine.ts";
import { invalid } from "../domain/errors.ts";
import { type Phase as PhaseName, receive } from "../domain/moves/arrival.ts";
import type { Piece } from "../domain/moves/departure.ts";
import { importObstacles, spaceObstacle } from "../domain/moves/import-obstacles.ts";
import { leave, type Orders } from "../domain/moves/leave.ts";
import { portableRecord, readManifest, writeManifest } from "../domain/moves/manifest.ts";
import { obstacles, type PartKind, partsOf, sizeOf, volumesOf } from "../domain/moves/plan.ts";

const kinds = { layer: Kind.LAYER, volume: Kind.VOLUME, files: Kind.FILES } as const satisfies Record<PartKind, Kind>;
const phases = {
  prepared: Phase.PREPARED,
  received: Phase.RECEIVED,
  taken: Phase.TAKEN,
  done: Phase.DONE,
} as const satisfies Record<PhaseName, Phase>;

/** Containers on their way from and to this node. */
export function moveCalls(engine: Engine): Implementation<typeof MovesDefinition> {
  const { parts } = engine;
  return {
    async planMove({ container }) {
      const found = engine.find(container);
      const { id, record } = found;
      const planned = await Promise.all(
        partsOf(parts, record).map(async (part) => ({
          part: { kind: kinds[part.kind], name: part.name },
          size: await sizeOf(part),
        })),
      );
      const volumes = volumesOf(record).flatMap((name) => parts.volumes.record(name) ?? []);
      const { nodeId: from, nodeName: fromName } = parts;
      const ran = isActive(record);
      const manifest = writeManifest({
        record: portableRecord(record, undefined),
        volumes,
        ran,
        from,
        fromName,
        revision: 0,
      });
      return {
        id,
        name: record.name,
        running: ran,
        parts: planned,
        obstacles: obstacles(parts, found),
        manifest,
      };
    },
    async checkMove({ manifest, size }) {
      const { record, volumes } = readManifest(manifest);
      const found = await importObstacles(parts, record, volumes);
      return { obstacles: [...found, ...(await spaceObstacle(parts, size))] };
    },
    async *sendContainer(requests, { signal }) {
      const input = requests[Symbol.asyncIterator]();
      const first = await input.next();
      const message = first.done ? undefined : first.value.message;
      if (message?.$case !== "start") throw invalid("the first message must be start");
      const { container, nodeId, nodeName } = message.value;
      const orders = ordersOf(input, signal);
      const leaving = leave(parts, engine.find(container), { nodeId, nodeName }, orders);
      try {
        for (;;) {
          const { done, value } = await leaving.next();
          if (done) return yield { message: { $case: "outcome" as const, value } };
          yield { message: { $case: "piece" as const, value: encodePiece(value) } };
        }
      } finally {
        await leaving.return(undefined as never);
      }
    },
    async *receiveContainer(requests, { signal }) {
      for await (const phase of receive(parts, piecesOf(requests), signal)) yield { phase: phases[phase] };
    },
  };
}

/** A caller that goes, or that has no more to say, wants it settled. */
function ordersOf(input: AsyncIterator<SendContainerRequest>, signal: AbortSignal): Orders {
  const proceed = Promise.withResolvers<boolean>();
  const settle = new AbortController();
  const end = () => {
    proceed.resolve(false);
    settle.abort();
  };
  signal.addEventListener("abort", end, { once: true });
  const follow = async () => {
    for (;;) {
      const { done, value } = await input.next();
      if (done || value.message?.$case !== "proceed") return;
      proceed.resolve(true);
    }
  };
  // How the requests ended says nothing: it is settled either way.
  void follow()
    .catch(() => undefined)
    .then(end);
  return { proceed: proceed.promise, settle: settle.signal };
}

function encodePiece(piece: Piece): DeepPartial<MovePiece> {
  if (piece.$case !== "part") return { message: piece };
  const { kind, name } = piece.value;
  return { message: { $case: "part", value: { kind: kinds[kind], name } } };
}

const kindNames = new Map<Kind, PartKind>(Object.entries(kinds).map(([name, kind]) => [kind, name as PartKind]));

async function* piecesOf(requests: AsyncIterable<ReceiveContainerRequest>): AsyncGenerator<Piece> {
  for await (const { piece } of requests) {
    const message = piece?.message;
    if (message === undefined) throw invalid("a container was sent with an empty piece");
    if (message.$case !== "part") {
      yield message as Piece;
      continue;
    }
    const { kind, name } = message.value;
    const known = kindNames.get(kind);
    if (known === undefined) throw invalid("a container was sent with a part of an unknown kind");
    yield { $case: "part", value: { kind: known, name } };
  }
}
