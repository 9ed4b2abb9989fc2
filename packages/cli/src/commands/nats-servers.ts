import type { Context } from "../command.ts";
import { EngineError, jsonLines } from "../engine/client.ts";

interface Message {
  status?: string;
  Nodes?: string[];
  error?: string;
}

/** Makes nodes run NATS, or run none any more. Steps go to stderr: what a script reads is the outcome. @throws EngineError */
export async function setNatsServers(
  { engine, print }: Pick<Context, "engine" | "print">,
  body: object,
): Promise<number> {
  for await (const { status, Nodes, error } of jsonLines<Message>(
    await engine.open("POST", "/berth/nats-servers", { body }),
  )) {
    if (error !== undefined) throw new EngineError(500, error);
    if (status !== undefined) process.stderr.write(`${status}\n`);
    if (Nodes !== undefined) await print(`NATS runs on ${Nodes.join(", ")}\n`);
  }
  return 0;
}
