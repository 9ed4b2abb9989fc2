import { Metadata, type StatusObject } from "@grpc/grpc-js";
import type { Channel } from "nice-grpc";
import type { CallScope } from "./call.ts";

/** What a call that failed ended with. */
export class UnaryFailure extends Error {
  readonly status: StatusObject;

  constructor(status: StatusObject) {
    super(status.details);
    this.name = "UnaryFailure";
    this.status = status;
  }
}

/**
 * One unary call. The answer counts as soon as it is there: a server of gRPC sends a message only with the status OK, and the
 * trailers that say so come in a packet of their own, for which this process would have to be woken once more.
 * `message` and the answer are encoded. @throws UnaryFailure, with CANCELLED when the scope cuts it
 */
export function callUnary(channel: Channel, path: string, message: Buffer, scope: CallScope): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (scope.aborted) {
      reject(new UnaryFailure(gaveUp()));
      return;
    }
    const call = channel.createCall(path, Number.POSITIVE_INFINITY, null, null, null);
    scope.onAbort(() => {
      reject(new UnaryFailure(gaveUp()));
      call.cancelWithStatus(cancelled, "the caller gave up");
    });
    let answered = false;
    call.start(new Metadata(), {
      onReceiveMetadata: () => {},
      onReceiveMessage: (answer: Buffer | null) => {
        // grpc-js says null before the status of a call that failed.
        if (answer === null) return;
        answered = true;
        scope.onAbort(undefined);
        resolve(answer);
      },
      onReceiveStatus: (status) => {
        if (answered) return;
        scope.onAbort(undefined);
        reject(new UnaryFailure(status));
      },
    });
    call.sendMessageWithContext({}, message);
    call.halfClose();
    call.startRead();
  });
}

/** gRPC's CANCELLED. */
const cancelled = 1;

export const gaveUp = (): StatusObject => ({
  code: cancelled,
  details: "the caller gave up",
  metadata: new Metadata(),
});
