export * from "./gen/berth/types/v1/types.ts";
