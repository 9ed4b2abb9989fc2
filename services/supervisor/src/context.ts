import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { net } from "@berth/isolation";
import { createServiceContext, type ServiceContext, version } from "@berth/rpc";
import { openStore } from "@berth/store";
import { nodeLabels, pluginDirectories, runtimeOptions, runtimePath, type SupervisorConfig } from "./config.ts";
import type { Parts, Records } from "./domain/containers/parts.ts";
import { makePaths } from "./domain/containers/paths.ts";
import { Registry } from "./domain/containers/registry.ts";
import { Engine } from "./domain/engine.ts";
import { makeFaultPoint } from "./domain/fault.ts";
import { readHostFacts } from "./domain/host.ts";
import { newId } from "./domain/ids.ts";
import { loadSource } from "./domain/load.ts";
import { nativeLauncher } from "./domain/monitor/native.ts";
import { makeNameRegistry } from "./domain/names.ts";
import { BridgeNetwork } from "./domain/network/bridge.ts";
import type { NetworkDriver } from "./domain/network/driver.ts";
import { Networks } from "./domain/network/networks.ts";
import { bridgeSubnetKey, recover } from "./domain/recovery.ts";
import { registerNode } from "./domain/registration.ts";
import { Runtimes } from "./domain/runtimes.ts";
import { fromNano, nowNano } from "./domain/time.ts";
import { Drivers } from "./domain/volumes/drivers.ts";
import { LocalDriver } from "./domain/volumes/local-driver.ts";
import { Plugins } from "./domain/volumes/plugins/plugins.ts";
import { Volumes } from "./domain/volumes/volumes.ts";
import { remoteImages } from "./rpc/images.ts";
import { remoteSnapshots } from "./rpc/snapshots.ts";
import { makeRecords } from "./store/records.ts";

export interface SupervisorContext extends ServiceContext {
  engine: Engine;
}

/** Builds every part once, and finds again what runs already. Tests pass overrides. */
export async function createContext(
  config: SupervisorConfig,
  signal: AbortSignal,
  overrides: Partial<Parts> = {},
): Promise<SupervisorContext> {
  const base = await createServiceContext(config, signal);
  const { log, bus, clients } = base;
  const paths = makePaths(config.stateDir, config.runDir);
  await Promise.all(
    [paths.bundles, paths.sockets, paths.view].map((path) => mkdir(path, { recursive: true, mode: 0o700 })),
  );
  await Promise.all([paths.containers, paths.volumes].map((path) => mkdir(path, { recursive: true, mode: 0o711 })));
  const runtimes = new Runtimes({ ...runtimeOptions(config), log });
  // A default that there is not would fail every container: better to fail here.
  await runtimes.find(runtimes.defaultName);
  const store = await openStore(join(config.stateDir, "db"));
  const records = makeRecords(store, bus.outbox(store), log);
  const { nodeId, nodeName, hostId } = config;
  const names = makeNameRegistry(bus, nodeId);
  const driver: NetworkDriver = net;
  const bridgeConfig = { name: config.bridge, subnet: config.bridgeSubnet, mtu: config.bridgeMtu };
  const remember = (subnet: string) => records.setMeta(bridgeSubnetKey, subnet);
  const bridge = new BridgeNetwork(await keptId(records, "network.bridge"), bridgeConfig, driver, log, remember);
  const networks = new Networks(
    bridge,
    {
      none: await keptId(records, "network.none"),
      host: await keptId(records, "network.host"),
      created: await kept(records, "network.created", () => fromNano(nowNano())),
    },
    driver,
  );
  const closing = new AbortController();
  const fault = makeFaultPoint(config.fault);
  const plugins = new Plugins(pluginDirectories(config), log);
  const local = new LocalDriver({
    pathOf: paths.volume,
    optionsOf: (name) => volumes.record(name)?.options ?? null,
  });
  const volumes: Volumes = new Volumes({ nodeId, records, drivers: new Drivers(local, plugins), log, fault });
  const parts: Parts = {
    nodeId,
    nodeName,
    hostId,
    paths,
    facts: await readHostFacts(),
    records,
    names,
    snapshots: remoteSnapshots(clients, nodeId),
    images: remoteImages(clients),
    launcher: nativeLauncher(runtimePath(config)),
    // The monitor, which binds it, has another working directory.
    initProgram: resolve(runtimePath(config)),
    runtimes,
    networks,
    cdiDirs: config.cdiSpecDirs,
    registry: new Registry(),
    volumes,
    log,
    fault,
    closing: closing.signal,
    ...overrides,
  };
  const engine = new Engine(parts);
  await recover(parts, closing.signal);
  const { cpus, memory } = parts.facts;
  const facts = async () => ({ nodeId, name: nodeName, cpus, memory, version, runtimes: await parts.runtimes.names() });
  void registerNode(bus.nodes, facts, nodeLabels(config), log, closing.signal);
  const close = async () => {
    closing.abort();
    await engine.close();
    await plugins.close();
    await store.close();
  };
  const news = loadSource(parts.registry, () => bus.instances("supervisor").length < 2);
  return { ...base, engine, news, close };
}

/** Ids of the built-in networks are made once and kept. */
const keptId = (records: Records, key: string): Promise<string> => kept(records, key, newId);

async function kept(records: Records, key: string, make: () => string): Promise<string> {
  const known = await records.getMeta(key);
  if (known !== undefined) return known;
  const made = make();
  await records.setMeta(key, made);
  return made;
}
