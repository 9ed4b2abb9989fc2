/** Configuration from environment and flags, read once at start. A flag wins over the environment, that over defaults. */
export { type CommonConfig, commonConfig, readServiceConfig } from "./common.ts";
export { parseDuration } from "./parse.ts";
export { type ConfigOf, type ConfigSpec, type Field, readConfig, type Sources, usage } from "./read.ts";
export { ramInBytes } from "./size.ts";
