#!/usr/bin/env node
// Starts the bundled command line, or the sources in a checkout that has not been built. Compiled code is cached in the
// user's own directory: it halves the start.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";

enableCompileCache?.();
const bundle = new URL("../dist/main.js", import.meta.url);
await import(existsSync(bundle) ? bundle.href : new URL("../src/main.ts", import.meta.url).href);
