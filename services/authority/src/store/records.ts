import type { NatsPlan } from "@berth/identity";
import type { Store } from "@berth/store";
import type { MemberRecord, Records, TokenRecord } from "../domain/records.ts";

/** The authority's records in Level. */
export function levelRecords(store: Store): Records {
  const tokens = store.table<TokenRecord>("tokens");
  const members = store.table<MemberRecord>("members");
  const plans = store.table<NatsPlan>("nats-plan");
  const values = async <V>(entries: AsyncIterable<[string, V]>) => (await Array.fromAsync(entries)).map(([, v]) => v);
  return {
    load: async () => ({
      tokens: await values(tokens.entries()),
      members: await values(members.entries()),
      plan: await plans.get("current"),
    }),
    putPlan: (plan) => store.write([plans.putOp("current", plan)]),
    putToken: (token) => store.write([tokens.putOp(token.id, token)]),
    deleteToken: (id) => store.write([tokens.delOp(id)]),
    putMember: (member) => store.write([members.putOp(member.nodeId, member)]),
    putUse: (token, member) => store.write([tokens.putOp(token.id, token), members.putOp(member.nodeId, member)]),
  };
}
