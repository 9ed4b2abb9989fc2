import type { Context } from "../command.ts";
import { forEach } from "./each.ts";

export type Availability = "active" | "drain";

/** Marks the nodes that the command line names. */
export const setAvailability = (context: Context, availability: Availability): Promise<number> =>
  forEach(context, async (node) => {
    const body = { Availability: availability };
    const path = `/berth/nodes/${encodeURIComponent(node)}/update`;
    const { Name } = await context.engine.json<{ Name: string }>("POST", path, { body });
    return Name;
  });
