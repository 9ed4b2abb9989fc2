export * from "./gen/berth/rpc/v1/lane.ts";
