import { readFileSync } from "node:fs";
import { connect, usernamePasswordAuthenticator } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectBus } from "../src/index.ts";
import { Bench, instance, silent, until } from "./support.ts";

const bench = new Bench();
beforeAll(() => bench.start());
afterAll(() => bench.close());

describe("presence", () => {
  it("is seen by those who are there and by those who come later, at once", async () => {
    const [early, announcer] = [await bench.bus(), await bench.bus()];
    const me = instance();
    announcer.announce(me);
    expect(await early.waitFor("supervisor")).toEqual(me);
    const began = performance.now();
    const late = await bench.bus();
    expect(await late.waitFor("supervisor")).toEqual(me);
    expect(performance.now() - began).toBeLessThan(500);
  });

  it("ends at once with a bye, and tells the listeners", async () => {
    const [watcher, announcer] = [await bench.bus(), await bench.bus()];
    let changes = 0;
    watcher.onInstances(() => changes++);
    const presence = announcer.announce(instance({ role: "builder" }));
    await watcher.waitFor("builder");
    presence.leave();
    await until("the bye", () => watcher.instances("builder").length === 0, 500);
    expect(changes).toBeGreaterThanOrEqual(2);
  });

  it("ends 3 s after the last beat of one that died silently", async () => {
    const watcher = await bench.bus();
    const dead = instance({ role: "snapshotter" });
    const raw = await rawConnection();
    raw.publish(`berth.presence.snapshotter.${dead.nodeId}.${dead.instanceId}`, JSON.stringify(dead));
    await raw.drain();
    await watcher.waitFor("snapshotter");
    const began = performance.now();
    await until("expiry", () => watcher.instances("snapshotter").length === 0);
    expect(performance.now() - began).toBeGreaterThan(2_500);
    expect(performance.now() - began).toBeLessThan(4_600);
  });

  it("passes at once to whoever took over the socket of a dead process", async () => {
    const watcher = await bench.bus();
    const address = ["unix:/run/x.sock"];
    const dead = instance({ role: "gateway", addresses: address, startedAt: "2020-01-01T00:00:00Z" });
    const raw = await rawConnection();
    raw.publish(`berth.presence.gateway.${dead.nodeId}.${dead.instanceId}`, JSON.stringify(dead));
    await raw.drain();
    await watcher.waitFor("gateway");
    const next = instance({ role: "gateway", addresses: address });
    (await bench.bus()).announce(next);
    await until(
      "the takeover",
      () => watcher.instances("gateway").some(({ instanceId }) => instanceId === next.instanceId),
      500,
    );
    expect(watcher.instances("gateway")).toEqual([next]);
  });

  it("tells a changed load at once, and those that follow within 100 ms in one beat", async () => {
    const beats: number[] = [];
    const raw = await rawConnection();
    const me = instance();
    let containers = 0;
    raw.subscribe(`berth.presence.supervisor.${me.nodeId}.${me.instanceId}`, {
      callback: (_, message) => {
        const told = message.json<{ load: { containers: number } }>().load.containers;
        if (told !== beats.at(-1)) beats.push(told);
      },
    });
    await raw.flush();
    const presence = (await bench.bus()).announce(me, () => ({ load: { containers, cpus: 0, memory: 0 } }));
    await until("the first beat", () => beats.length === 1);
    for (containers = 1; containers <= 3; containers++) presence.changed();
    containers = 3;
    await until("both beats", () => beats.at(-1) === 3, 500);
    expect(beats).toEqual([0, 1, 3]);
    presence.leave();
    await raw.close();
  });

  it("takes nothing from messages that are no announcements", async () => {
    const watcher = await bench.bus();
    const raw = await rawConnection();
    for (const text of ["", "{", "null", '{"role":"image-store"}', JSON.stringify(instance({ role: "image-store" }))]) {
      raw.publish("berth.presence.image-store.n.not-its-id", text);
    }
    raw.publish("berth.presence.image-store.n.big", "x".repeat(20_000));
    await raw.drain();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(watcher.instances("image-store")).toEqual([]);
  });

  it("gives up waiting when told to", async () => {
    const bus = await bench.bus();
    await expect(bus.waitFor("registry-proxy", { signal: AbortSignal.timeout(30) })).rejects.toThrow("timeout");
  });
});

describe("NATS being away", () => {
  it("leaves the last known instances, and everything comes back", async () => {
    const [watcher, announcer] = [await bench.bus(), await bench.bus()];
    const me = instance({ role: "registry-proxy" });
    announcer.announce(me);
    await watcher.waitFor("registry-proxy");
    await bench.kill();
    await until("disconnected", () => !watcher.connected);
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(watcher.instances("registry-proxy")).toEqual([me]);
    await bench.start();
    await until("reconnected", () => watcher.connected && announcer.connected);
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(watcher.instances("registry-proxy")).toEqual([me]);
  }, 30_000);
});

it("refuses a wrong password at once, and waits for a server that is not there yet", async () => {
  const { url = "", user } = bench.server ?? {};
  const wrong = connectBus({ url, user, passwordFile: "/proc/version", name: "x", log: silent });
  await expect(wrong).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  const nobody = connectBus({ url: "nats://127.0.0.1:1", name: "x", log: silent, signal: AbortSignal.timeout(300) });
  await expect(nobody).rejects.toThrow("timeout");
});

function rawConnection() {
  const { url = "", user = "", passwordFile = "" } = bench.server ?? {};
  const password = readFileSync(passwordFile, "utf8").trim();
  return connect({ servers: url, authenticator: usernamePasswordAuthenticator(user, password) });
}
