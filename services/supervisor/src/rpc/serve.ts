import { MovesDefinition, SupervisorDefinition } from "@berth/api/containers";
import { VolumesDefinition } from "@berth/api/volumes";
import type { RpcServer } from "@berth/rpc";
import type { SupervisorContext } from "../context.ts";
import { streamCalls } from "./attach.ts";
import { containerCalls } from "./containers.ts";
import { execCalls } from "./execs.ts";
import { fileCalls } from "./files.ts";
import { moveCalls } from "./moves.ts";
import { nodeCalls } from "./node.ts";
import { volumeCalls } from "./volumes.ts";

export function serve(server: RpcServer, { engine }: SupervisorContext): void {
  server.add(SupervisorDefinition, {
    ...containerCalls(engine),
    ...streamCalls(engine),
    ...execCalls(engine),
    ...fileCalls(engine),
    ...nodeCalls(engine),
  });
  server.add(MovesDefinition, moveCalls(engine));
  server.add(VolumesDefinition, volumeCalls(engine.parts));
}
