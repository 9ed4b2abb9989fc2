import type { Context } from "../command.ts";
import { forEach } from "./each.ts";

export const setAvailability = (context: Context, availability: "active" | "drain"): Promise<number> =>
  forEach(context, async (node) => {
    const body = { Availability: availability };
    const path = `/berth/nodes/${encodeURIComponent(node)}/update`;
    const { Name } = await context.engine.json<{ Name: string }>("POST", path, { body });
    return Name;
  });
