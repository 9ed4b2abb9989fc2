export * from "./gen/berth/images/v1/images.ts";
