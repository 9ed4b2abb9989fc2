import type { IncomingMessage, ServerResponse } from "node:http";
import type { Peer } from "./hijack.ts";
import type { Query } from "./query.ts";
import type { Upload } from "./upload.ts";

/** One request on its way through a handler. */
export class Call {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly query: Query;
  /** What stood for {name} in the path; "" where the pattern has none. */
  readonly name: string;
  /** The API version asked for: 41 for /v1.41. */
  readonly minor: number;
  #controller: AbortController | undefined;

  constructor(req: IncomingMessage, res: ServerResponse, query: Query, name: string, minor: number) {
    this.req = req;
    this.res = res;
    this.query = query;
    this.name = name;
    this.minor = minor;
  }

  /** Aborts when the client goes away before it has its answer. For calls that nobody needs then: streams, waits, lists. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      if (this.res.destroyed) controller.abort();
      else this.res.once("close", () => this.res.writableFinished || controller.abort());
    }
    return this.#controller.signal;
  }
}

export type Handler = (call: Call) => Promise<void> | void;

/** A request that takes the connection over for a stream of its own (attach, exec). */
export interface HijackCall {
  peer: Peer;
  query: Query;
  name: string;
  minor: number;
}

export type HijackHandler = (call: HijackCall) => Promise<void>;

/** A request whose body may be given away unread. */
export interface UploadCall {
  upload: Upload;
  query: Query;
  name: string;
  minor: number;
}

/** Resolves to false, with the body untouched, to have the request served like any other. */
export type UploadHandler = (call: UploadCall) => Promise<boolean>;
