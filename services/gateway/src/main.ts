import { runService } from "@berth/rpc";
import { readConfig } from "./config.ts";
import { createContext } from "./context.ts";
import { serve } from "./serve.ts";

await runService("gateway", { readConfig, createContext, serve });
