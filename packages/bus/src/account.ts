import { BerthError, errorMessage } from "@berth/errors";
import { credsAuthenticator } from "@nats-io/transport-node";
import { type ConnectionOptions, dial } from "./connection.ts";

const subject = "$SYS.REQ.CLAIMS.UPDATE";
/** Servers answer at once; one that is away learns it from the others. ms */
const timeoutMs = 3_000;

/**
 * Hands a new JWT of an account to the servers (docs.nats.io, "System events"), over a connection of its own: the system account's
 * users can do nothing else here. @throws UNAVAILABLE
 */
export async function updateAccount(options: ConnectionOptions, jwt: string, credentials: string): Promise<void> {
  try {
    const { url, name, tls } = options;
    const authenticator = credsAuthenticator(new TextEncoder().encode(credentials));
    const nats = await dial({ url, name: `${name} for its accounts`, tls, authenticator });
    try {
      const answer = (await nats.request(subject, jwt, { timeout: timeoutMs })).json<{
        error?: { description?: string };
      }>();
      if (answer.error !== undefined) throw new Error(answer.error.description ?? "the server refuses the account");
    } finally {
      await nats.close();
    }
  } catch (error) {
    throw new BerthError("UNAVAILABLE", `NATS does not take the account: ${errorMessage(error)}`, {}, { cause: error });
  }
}
