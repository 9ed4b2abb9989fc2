import { BerthError } from "@berth/errors";
import { eventFilters, eventMatcher } from "../domain/event-filter.ts";
import type { EventFeed } from "../domain/events.ts";
import { startStream } from "../http/answer.ts";
import type { Api } from "../http/server.ts";
import { eventLine } from "../shapes/event.ts";
import { parseUnixTime } from "../shapes/time.ts";
import { write } from "../streams/remote.ts";

/** Engine API, "Monitor events". */
export function eventRoutes(api: Api, feed: EventFeed): void {
  api.on("GET", "/events", async ({ query, res, signal }) => {
    const since = moment(query.text("since"));
    const until = moment(query.text("until"));
    if (since !== undefined && until !== undefined && since > until) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `\`since\` time (${query.text("since")}) cannot be after \`until\` time (${query.text("until")})`,
      );
    }
    const passes = eventMatcher(query.filters(eventFilters));
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

/** Nanoseconds since the epoch. @throws INVALID_ARGUMENT */
function moment(text: string): bigint | undefined {
  if (text === "") return undefined;
  const time = parseUnixTime(text);
  if (time === undefined) {
    throw new BerthError("INVALID_ARGUMENT", `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanos);
}
