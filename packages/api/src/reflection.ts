export * from "./gen/grpc/reflection/v1/reflection.ts";
