import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@berth/log";
import { expect, test } from "vitest";
import { Plugins } from "../src/domain/volumes/plugins/plugins.ts";

test("callers that come at once ask a plugin once, over one client that is closed at the end", async () => {
  const directory = await mkdtemp(join(tmpdir(), "berth-plugins-"));
  const asked: string[] = [];
  const server = createServer((request, answer) => {
    asked.push(request.url ?? "");
    answer.end(JSON.stringify({ Implements: ["VolumeDriver"] }));
  });
  await once(server.listen(join(directory, "store.sock")), "listening");
  const log = createLogger({ service: "test", level: "silent" });
  const plugins = new Plugins({ sockets: [directory], specs: [] }, log);
  try {
    const drivers = await Promise.all(Array.from({ length: 5 }, () => plugins.driver("store")));
    expect(new Set(drivers).size).toBe(1);
    expect(asked).toEqual(["/Plugin.Activate"]);
    await plugins.close();
    // What keeps a connection open would keep this from being called.
    const closed = once(server, "close");
    server.close();
    await closed;
  } finally {
    server.closeAllConnections();
    await rm(directory, { recursive: true });
  }
});
