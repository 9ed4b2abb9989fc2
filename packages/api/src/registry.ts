export * from "./gen/berth/registry/v1/registry.ts";
