/** Starting engines: what `npm start` runs, and the same for tests. */
export { type RunningEngine, type StartEngineOptions, startEngine } from "./start-engine.ts";
export * from "./nats/index.ts";
