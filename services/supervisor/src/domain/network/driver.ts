/** Native network calls that the domain needs (native/isolation/ts/net.ts does them). */
export interface NetworkDriver {
  ensureBridge(options: { name: string; address: string; mtu: number }): Promise<void>;
  /** A new namespace with loopback up, as a descriptor that the caller closes. */
  createNamespace(): Promise<number>;
  createEndpoint(options: {
    namespace: number;
    bridge: string;
    hostInterface: string;
    name: string;
    mac: string;
    address: string;
    gateway: string | null;
    mtu: number;
  }): Promise<void>;
  removeLink(name: string): Promise<void>;
  routes(): Promise<readonly string[]>;
  interfaceStats(namespace: number): Promise<readonly InterfaceCounters[]>;
  nft(commands: string): Promise<string>;
}

export interface InterfaceCounters {
  name: string;
  rxBytes: number;
  rxPackets: number;
  rxErrors: number;
  rxDropped: number;
  txBytes: number;
  txPackets: number;
  txErrors: number;
  txDropped: number;
}
