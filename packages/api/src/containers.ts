export * from "./gen/berth/containers/v1/containers.ts";
// All files declare these; naming one of them settles which.
export {
  type DeepPartial,
  type MessageFns,
  protobufFileName,
  protobufPackage,
  type ServerStreamingMethodResult,
} from "./gen/berth/containers/v1/containers.ts";
export * from "./gen/berth/containers/v1/files.ts";
export * from "./gen/berth/containers/v1/moves.ts";
export * from "./gen/berth/containers/v1/node.ts";
export * from "./gen/berth/containers/v1/spec.ts";
export * from "./gen/berth/containers/v1/stats.ts";
