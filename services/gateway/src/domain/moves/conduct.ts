import { BerthError, errorMessage } from "@berth/errors";
import {
  MovePartKind,
  MovePhase,
  type MovePiece,
  type MovesClient,
  type SendContainerRequest,
  type SendContainerResponse,
} from "../../rpc/types.ts";
import type { ProgressMessage } from "../../shapes/progress.ts";
import { Feed } from "./feed.ts";

export interface Journey {
  source: MovesClient;
  target: MovesClient;
  containerId: string;
  to: { nodeId: string; nodeName: string };
  /** bytes by part, as partName() calls it */
  sizes: ReadonlyMap<string, number>;
}

interface Outcome {
  moved: boolean;
  failure: string;
}

/** ms for the first node to say what has become of its copy: with NATS away it does not know. */
const settleMs = 60_000;
/** ms between two lines on one part */
const tellEveryMs = 200;

/**
 * Passes a container on from one node to another. Nothing depends on this process: if it dies, the two find out whose the container
 * is. A signal that aborts calls the move off, unless it is done already. @throws what either node says, when it is where it was
 */
export async function conduct(
  journey: Journey,
  tell: (message: ProgressMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const { source, target, containerId: container, to } = journey;
  const orders = new Feed<SendContainerRequest>();
  orders.push({ message: { $case: "start", value: { container, ...to } } });
  const sending = new Sending(source.sendContainer(orders, {}));
  let failure: unknown;
  let isDone = false;
  try {
    const received = target.receiveContainer(requestsOf(sending, progress(journey.sizes, tell)), { signal });
    for await (const { phase } of received) {
      if (phase === MovePhase.PREPARED) {
        tell({ status: "Stopping" });
        orders.push({ message: { $case: "proceed", value: {} } });
      }
      if (phase === MovePhase.TAKEN) tell({ status: "Starting" });
      isDone ||= phase === MovePhase.DONE;
    }
    if (!isDone) failure = new BerthError("UNAVAILABLE", `node ${to.nodeName} left in the middle of the move`);
  } catch (error) {
    failure = sending.failure ?? error;
  }
  orders.push({ message: { $case: "settle", value: {} } });
  orders.end();
  const outcome = await sending.outcome(settleMs);
  // Also when the other node could not say so any more.
  if (isDone || outcome?.moved === true) return;
  throw undone(failure, outcome);
}

function undone(failure: unknown, outcome: Outcome | undefined): unknown {
  if (outcome?.failure) {
    const why = `${errorMessage(failure)}; and it could not be started again where it was: ${outcome.failure}`;
    return new BerthError("INTERNAL", why, {}, { cause: failure });
  }
  return failure;
}

/** What the container's own node sends: pieces, then what has become of it. */
class Sending {
  /** Why it sends no more. */
  failure: unknown;
  readonly #answers: AsyncIterator<SendContainerResponse>;
  readonly #outcome = Promise.withResolvers<Outcome | undefined>();

  constructor(answers: AsyncIterable<SendContainerResponse>) {
    this.#answers = answers[Symbol.asyncIterator]();
  }

  /** Undefined: there are no more. Calls may overlap. @throws what that node throws */
  async next(): Promise<MovePiece | undefined> {
    try {
      const { done, value } = await this.#answers.next();
      const message = done === true ? undefined : (value as SendContainerResponse).message;
      if (message?.$case === "piece") return message.value;
      this.#outcome.resolve(message?.value);
      return undefined;
    } catch (error) {
      this.failure ??= error;
      this.#outcome.resolve(undefined);
      throw error;
    }
  }

  /** Reads to the end. Undefined when that does not come in time, or without an outcome. */
  async outcome(ms: number): Promise<Outcome | undefined> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), ms);
    const drain = async () => {
      while ((await this.next()) !== undefined);
    };
    drain().catch(() => undefined);
    try {
      return await Promise.race([this.#outcome.promise, late.promise]);
    } finally {
      clearTimeout(timer);
      // Ends the call, should it still be open.
      if (this.#answers.return !== undefined) void this.#answers.return().catch(() => undefined);
    }
  }
}

async function* requestsOf(sending: Sending, saw: (piece: MovePiece) => void): AsyncGenerator<{ piece: MovePiece }> {
  for (;;) {
    const piece = await sending.next();
    if (piece === undefined) throw new BerthError("CANCELLED", "the container's own node sends no more");
    saw(piece);
    yield { piece };
    if (piece.message?.$case === "whole") return;
  }
}

export function partName(kind: MovePartKind, name: string): string {
  if (kind === MovePartKind.VOLUME) return `volume ${name}`;
  return kind === MovePartKind.LAYER ? "writable layer" : "log and files";
}

/** Tells of each part as its bytes go by. */
function progress(sizes: Journey["sizes"], tell: (message: ProgressMessage) => void): (piece: MovePiece) => void {
  let id = "";
  let current = 0;
  let toldAt = 0;
  return ({ message }) => {
    if (message?.$case === "part") {
      id = partName(message.value.kind, message.value.name);
      current = 0;
      tell({ status: "Sending", id });
    }
    if (message?.$case === "endOfPart") tell({ status: "Sent", id });
    if (message?.$case !== "data") return;
    current += message.value.length;
    if (performance.now() - toldAt < tellEveryMs) return;
    toldAt = performance.now();
    tell({ status: "Sending", id, current, total: Math.max(sizes.get(id) ?? 0, current) });
  };
}
