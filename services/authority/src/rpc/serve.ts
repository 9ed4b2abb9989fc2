import { AuthorityDefinition } from "@berth/api/authority";
import type { RpcServer } from "@berth/rpc";
import type { AuthorityContext } from "../context.ts";
import { authorityService } from "./service.ts";

export function serve(server: RpcServer, context: AuthorityContext): void {
  server.add(AuthorityDefinition, authorityService(context));
}
