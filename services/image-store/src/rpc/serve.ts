import { ImageStoreDefinition } from "@berth/api/images";
import type { RpcServer } from "@berth/rpc";
import type { ImageStoreContext } from "../context.ts";
import { imageStoreService } from "./service.ts";

export function serve(server: RpcServer, context: ImageStoreContext): void {
  server.add(ImageStoreDefinition, imageStoreService(context));
}
