import type { NatsPlan } from "@berth/identity";

/** A token as it is kept: its secret's hash alone. Times are ms since the epoch. */
export interface TokenRecord {
  id: string;
  secretHash: string;
  roles: string[];
  createdAt: number;
  expiresAt: number;
  uses: number;
  /** A host that asks again with the same request, because an answer was lost, makes no further use. */
  usedBy: { nodeId: string; nodeName: string; request: string }[];
}

/** A node that has joined. Times are ms since the epoch. */
export interface MemberRecord {
  nodeId: string;
  name: string;
  site: string;
  address: string;
  /** First of the ports at which other hosts reach it. */
  basePort: number;
  /** Services that it may run. */
  roles: string[];
  /** Services that it last had certificates for. */
  services: string[];
  joinedAt: number;
  expiresAt: number;
  /** NATS users that it has, by public key: when the last JWT of each expires. */
  natsKeys: Record<string, number>;
  /** Certificates issued until then are refused. Kept when the node joins anew, as long as one of them is good. */
  revokedAt: number | undefined;
  /** It was revoked, and has not joined anew. */
  isOut: boolean;
}

export interface State {
  tokens: TokenRecord[];
  members: MemberRecord[];
  /** Undefined before the first change. */
  plan: NatsPlan | undefined;
}

/** What the authority remembers. Each change is on the disk before it resolves. */
export interface Records {
  load(): Promise<State>;
  putToken(token: TokenRecord): Promise<void>;
  deleteToken(id: string): Promise<void>;
  putPlan(plan: NatsPlan): Promise<void>;
  putMember(member: MemberRecord): Promise<void>;
  /** A join: both or neither. */
  putUse(token: TokenRecord, member: MemberRecord): Promise<void>;
}
