export * from "./gen/berth/authority/v1/authority.ts";
