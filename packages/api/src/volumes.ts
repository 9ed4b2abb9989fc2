export * from "./gen/berth/volumes/v1/volumes.ts";
