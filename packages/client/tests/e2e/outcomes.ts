import { isBerthError } from "@berth/errors";
import type { Asked, Step } from "./contract.ts";

/** What a step came to: its answer, or what of a failure its caller sees. */
export async function outcomeOf(step: Step, asked: Asked): Promise<object> {
  try {
    return { answer: comparable({ value: await step.run(asked) }) };
  } catch (error) {
    if (!isBerthError(error)) throw error;
    const { reason, code, message, details } = error;
    return comparable({ reason, code, message, details }) as object;
  }
}

/** What an outcome must look like at least, wherever it is asked. */
export const expectedOf = ({ fails }: Step): object => (fails === undefined ? { answer: {} } : { reason: fails });

/** What differs from container to container, from node to node, and from moment to moment. */
const own = new Set(
  "seconds nanos pid restartCount macAddress ipAddress lastExit createdAt upperDir nodeName mountpoint".split(" "),
);

function comparable(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) => (own.has(key) ? undefined : inner));
  const blurred = text.replaceAll(/[0-9a-f]{64}/g, "ID").replaceAll(/[0-9a-f]{32}/g, "NODE");
  return JSON.parse(blurred.replaceAll(/[0-9a-f]{12}/g, "SHORT").replaceAll(/\/tmp\/[^"]*\/containers\//g, "DIR/"));
}
