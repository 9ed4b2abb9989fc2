import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { CompatServiceDefinition, ServiceDefinition } from "nice-grpc";

/** ts-proto's generic definition, as far as it is used here. */
interface GeneratedDefinition {
  fullName: string;
  methods: Record<string, GeneratedMethod>;
}

interface GeneratedMethod {
  name: string;
  requestType: MessageType;
  requestStream: boolean;
  responseType: MessageType;
  responseStream: boolean;
  options: object;
}

interface MessageType {
  encode(message: unknown, writer?: BinaryWriter): BinaryWriter;
  decode(bytes: Uint8Array): unknown;
  fromPartial(partial: unknown): unknown;
}

/** A writer that grew beyond this for one large message is not kept. */
const keptWriterBytes = 1024 * 1024;
let writer = new BinaryWriter();

/**
 * The definition with serializers that cost one copy. nice-grpc's own grow a fresh buffer by doubling, cut it, and copy
 * the cut: five times the memory of each message, which for streams of 256 KiB chunks is nearly all their time.
 */
export function withLeanCodec(definition: CompatServiceDefinition): ServiceDefinition {
  const { fullName, methods } = definition as unknown as GeneratedDefinition;
  return Object.fromEntries(
    Object.entries(methods).map(([key, method]) => [
      key,
      {
        path: `/${fullName}/${method.name}`,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: serializer(method.requestType),
        requestDeserialize: (bytes: Uint8Array) => method.requestType.decode(bytes),
        responseSerialize: serializer(method.responseType),
        responseDeserialize: (bytes: Uint8Array) => method.responseType.decode(bytes),
        options: method.options,
      },
    ]),
  ) as unknown as ServiceDefinition;
}

function serializer(type: MessageType): (message: unknown) => Uint8Array {
  return (message) => {
    try {
      const bytes = type.encode(type.fromPartial(message), writer).finish();
      if (bytes.length > keptWriterBytes) writer = new BinaryWriter();
      // nice-grpc calls Buffer.from() on this, which copies a Uint8Array but only wraps an ArrayBuffer.
      return bytes.buffer as unknown as Uint8Array;
    } catch (error) {
      // A message that is not what its type says leaves the writer half full.
      writer = new BinaryWriter();
      throw error;
    }
  };
}
