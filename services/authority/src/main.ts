import { runService } from "@berth/rpc";
import { readConfig } from "./config.ts";
import { createContext } from "./context.ts";
import { serve } from "./rpc/serve.ts";

await runService("authority", { readConfig, createContext, serve });
