export * from "./gen/berth/events/v1/events.ts";
