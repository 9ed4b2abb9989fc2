/** Starting engines: what `npm start` runs, and the same for tests. */

export * from "./nats/index.ts";
export { type RunningEngine, type StartEngineOptions, startEngine } from "./start-engine.ts";
