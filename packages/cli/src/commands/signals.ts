import type { Engine } from "../engine/client.ts";
import { containerPath } from "./each.ts";

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

/** While a container without a terminal is in the foreground, signals sent to us are meant for it. */
export function forwardSignals(engine: Engine, id: string): () => void {
  const handlers = forwarded.map((signal) => {
    const handler = () => void engine.run("POST", containerPath(id, "/kill"), { query: { signal } }).catch(() => {});
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const stop of handlers) stop();
  };
}
