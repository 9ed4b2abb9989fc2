import { isBerthError } from "@berth/errors";
import type { Supervisor } from "../../rpc/types.ts";

type Answer = Promise<unknown> | AsyncIterable<unknown>;
type Method = (request: object, options?: object) => Answer;

/**
 * A node's supervisor, of which it is only remembered that it has a container: the container may have moved since, with NATS out of our
 * reach. What it does not know is looked for once more. `elsewhere` gives the supervisor that has it, undefined for the same one.
 */
export function withSecondLook(supervisor: Supervisor, elsewhere: () => Promise<Supervisor | undefined>): Supervisor {
  return new Proxy(supervisor, {
    get(target, key) {
      const call = Reflect.get(target, key) as Method | undefined;
      if (typeof call !== "function") return call;
      return (request: object, options?: object): Answer => {
        const answer = call(request, options);
        const again = async (error: unknown) => {
          if (!isBerthError(error) || error.reason !== "NO_SUCH_CONTAINER") throw error;
          const other = await elsewhere();
          if (other === undefined) throw error;
          return (Reflect.get(other, key) as Method)(request, options);
        };
        if (isStream(answer)) return isStream(request) ? answer : streamAgain(answer, again);
        return answer.catch(async (error: unknown) => again(error));
      };
    },
  });
}

/** As long as nothing has come, it can begin anew. */
async function* streamAgain(
  answer: AsyncIterable<unknown>,
  again: (error: unknown) => Promise<unknown>,
): AsyncGenerator<unknown> {
  let begun = false;
  try {
    for await (const one of answer) {
      begun = true;
      yield one;
    }
  } catch (error) {
    if (begun) throw error;
    yield* (await again(error)) as AsyncIterable<unknown>;
  }
}

const isStream = (value: object): value is AsyncIterable<unknown> => Symbol.asyncIterator in value;
