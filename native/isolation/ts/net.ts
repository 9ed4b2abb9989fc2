// Network calls of the native addon. Whatever works inside another network namespace does so on a thread made for it.
//
// A container's network namespace is pinned by no mount: it lives by the descriptor that createNamespace() gives until the
// container's first process is inside, then by that process. A crash leaks nothing: the kernel takes namespace and veth back
// with the last process or descriptor.
import { native } from "./native.ts";

export interface BridgeOptions {
  readonly name: string;
  /** The bridge's own address with prefix length, "172.17.0.1/16". */
  readonly address: string;
  /** Bytes. */
  readonly mtu: number;
}

export interface EndpointOptions {
  /** Descriptor of the namespace. */
  readonly namespace: number;
  readonly bridge: string;
  /** Name of this side's end, at most 15 characters. */
  readonly hostInterface: string;
  /** Name of the end inside, "eth0". */
  readonly name: string;
  /** "02:42:ac:11:00:02" */
  readonly mac: string;
  /** "172.17.0.2/16" */
  readonly address: string;
  /** Where the default route goes; null for none. */
  readonly gateway: string | null;
  readonly mtu: number;
}

export interface InterfaceStats {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

interface NetNative {
  netEnsureBridge(options: BridgeOptions): Promise<void>;
  netCreateNamespace(): Promise<number>;
  netCreateEndpoint(options: EndpointOptions): Promise<void>;
  netRemoveLink(name: string): Promise<void>;
  netRoutes(): Promise<string[]>;
  netInterfaceStats(namespace: number): Promise<InterfaceStats[]>;
  netNft(commands: string): Promise<string>;
}

const net = native as unknown as NetNative;

/** Makes the bridge if it is missing, with its address, up; lets the host forward IPv4 onto it, from 127.0.0.1 too. */
export const ensureBridge = (options: BridgeOptions): Promise<void> => net.netEnsureBridge(options);

/** A new network namespace with loopback up; the caller closes the descriptor. */
export const createNamespace = (): Promise<number> => net.netCreateNamespace();

/** A veth pair from the bridge into the namespace, addressed and up on both sides; nothing is left behind on failure. */
export const createEndpoint = (options: EndpointOptions): Promise<void> => net.netCreateEndpoint(options);

/** Deletes a bridge or the host's end of a veth pair; a missing one is success. Waits for the kernel: about 15 ms. */
export const removeLink = (name: string): Promise<void> => net.netRemoveLink(name);

/** IPv4 destinations ("10.0.0.0/8") that this namespace has routes to, the default route left out. */
export const routes = (): Promise<string[]> => net.netRoutes();

/** Counters of all interfaces but loopback inside a namespace. */
export const interfaceStats = (namespace: number): Promise<InterfaceStats[]> => net.netInterfaceStats(namespace);

/** Runs nft commands in this namespace as one transaction and gives what they print; rejects with nft's own message. */
export const nft = (commands: string): Promise<string> => net.netNft(commands);
