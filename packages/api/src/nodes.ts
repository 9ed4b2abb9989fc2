export * from "./gen/berth/nodes/v1/nodes.ts";
