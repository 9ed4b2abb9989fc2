import { BerthError } from "@berth/errors";
import { eventMatcher } from "../domain/event-filter.ts";
import type { EventFeed } from "../domain/events.ts";
import { startStream } from "../http/answer.ts";
import { integerProblem } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import { eventLine } from "../shapes/event.ts";
import { write } from "../streams/remote.ts";

/** Engine API, "Monitor events". */
export function eventRoutes(api: Api, feed: EventFeed): void {
  api.on("GET", "/events", async ({ query, res, signal }) => {
    const since = moment(query.text("since"));
    const until = ending(moment(query.text("until")));
    if (since !== undefined && until !== undefined && since > until) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `\`since\` time (${query.text("since")}) cannot be after \`until\` time (${query.text("until")})`,
      );
    }
    const passes = eventMatcher(query.filters());
    startStream(res, "application/json");
    try {
      for await (const event of feed.read({ since, until }, signal)) {
        if (passes(event)) await write(res, Buffer.from(eventLine(event)));
      }
      res.end();
    } catch (error) {
      // The headers are out: only the end of the connection can say that something went wrong.
      res.destroy();
      if (!signal.aborted) throw error;
    }
  });
}

/** A moment of nought means "what there is now", as with Docker. */
function ending(until: bigint | undefined): bigint | undefined {
  return until === 0n ? BigInt(Date.now()) * 1_000_000n : until;
}

/** Nanoseconds since the epoch, from "SECONDS" or "SECONDS.FRACTION". @throws INVALID_ARGUMENT in the words of Go's strconv */
function moment(text: string): bigint | undefined {
  if (text === "" || text === "-1") return undefined;
  const point = text.indexOf(".");
  const seconds = point === -1 ? text : text.slice(0, point);
  const fraction = point === -1 ? "0" : text.slice(point + 1);
  for (const part of [seconds, fraction]) {
    const problem = integerProblem(part);
    if (problem !== undefined) {
      throw new BerthError("INVALID_ARGUMENT", `strconv.ParseInt: parsing ${JSON.stringify(part)}: ${problem}`);
    }
  }
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}
