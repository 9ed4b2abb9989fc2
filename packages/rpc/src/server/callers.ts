/** Which roles may make which calls from another host: the only such table. What is not in it is refused. */

const everybody = ["gateway", "registry-proxy", "image-store", "snapshotter", "supervisor", "builder", "authority"];

const table: Readonly<Record<string, readonly string[] | Readonly<Record<string, readonly string[]>>>> = {
  "berth.registry.v1.RegistryProxy": ["gateway", "builder"],
  "berth.images.v1.ImageStore": {
    // Reading is all that a node's snapshotter needs, and committing a container all that its supervisor does.
    ReadBlob: ["gateway", "builder", "registry-proxy", "snapshotter"],
    StatBlob: ["gateway", "builder", "registry-proxy", "snapshotter"],
    ListImages: ["gateway", "builder", "registry-proxy", "snapshotter"],
    GetImage: ["gateway", "builder", "registry-proxy", "snapshotter", "supervisor"],
    CommitImage: ["gateway", "builder", "supervisor"],
    "*": ["gateway", "builder", "registry-proxy"],
  },
  "berth.snapshots.v1.Snapshotter": ["gateway", "builder"],
  "berth.containers.v1.Supervisor": ["gateway", "builder"],
  "berth.containers.v1.Moves": ["gateway"],
  "berth.volumes.v1.Volumes": ["gateway", "builder"],
  // Of gateways themselves.
  "berth.events.v1.Events": ["gateway", "builder"],
  "berth.nodes.v1.Nodes": ["gateway", "builder"],
  "berth.authority.v1.Authority": ["gateway"],
  "grpc.health.v1.Health": everybody,
  "grpc.reflection.v1.ServerReflection": everybody,
};

/** A node's own services may call its snapshotter and supervisor: their roles with the same node's certificate. */
const sameNode: Readonly<Record<string, readonly string[]>> = {
  "berth.snapshots.v1.Snapshotter": ["supervisor"],
};

export interface Caller {
  role: string;
  nodeId: string;
}

/** `ownNode`: of the service that is called. */
export function mayCall(caller: Caller, ownNode: string, service: string, method: string): boolean {
  if (caller.nodeId === ownNode && (sameNode[service]?.includes(caller.role) ?? false)) return true;
  const allowed = table[service];
  if (allowed === undefined) return false;
  if (isList(allowed)) return allowed.includes(caller.role);
  return (allowed[method] ?? allowed["*"] ?? []).includes(caller.role);
}

const isList = (value: readonly string[] | object): value is readonly string[] => Array.isArray(value);
