import { runService } from "@berth/rpc";
import { readSupervisorConfig } from "./config.ts";
import { createContext } from "./context.ts";
import { serve } from "./rpc/serve.ts";

await runService("supervisor", { readConfig: readSupervisorConfig, createContext, serve });
