import { readDescriptorSet } from "@berth/api/descriptors";
import type { ServerReflectionRequest, ServerReflectionResponse } from "@berth/api/reflection";
import { GrpcCode } from "@berth/errors";
import { type DescriptorIndex, indexDescriptors } from "./descriptors.ts";

type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;

let index: DescriptorIndex | undefined;

/** grpc.reflection.v1 (grpc/doc/server-reflection.md) over the protos this was built with. */
export async function* answerReflection(
  requests: AsyncIterable<ServerReflectionRequest>,
  services: readonly string[],
): AsyncGenerator<ServerReflectionResponse> {
  index ??= indexDescriptors(readDescriptorSet());
  for await (const request of requests) {
    yield { validHost: request.host, originalRequest: request, messageResponse: answer(index, request, services) };
  }
}

function answer(descriptors: DescriptorIndex, request: ServerReflectionRequest, services: readonly string[]): Answer {
  const question = request.messageRequest;
  switch (question?.$case) {
    case "listServices":
      return { $case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(descriptors, question.value);
    case "fileContainingSymbol":
      return files(descriptors, descriptors.fileOfSymbol(question.value));
    default:
      return failure(GrpcCode.UNIMPLEMENTED, "proto3 messages have no extensions");
  }
}

function files(descriptors: DescriptorIndex, name: string | undefined): Answer {
  const found = name === undefined ? [] : descriptors.withDependencies(name);
  if (found.length === 0) return failure(GrpcCode.NOT_FOUND, "no such file or symbol");
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto: found } };
}

const failure = (errorCode: number, errorMessage: string): Answer => ({
  $case: "errorResponse",
  value: { errorCode, errorMessage },
});
