export * from "./gen/berth/snapshots/v1/snapshots.ts";
