import { BerthError, errorMessage } from "@berth/errors";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { CompatServiceDefinition, ServiceDefinition } from "nice-grpc";
import { malformed } from "./wire.ts";

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
  return withCodec(definition, ({ requestType, responseType }) => ({
    requestSerialize: requestSerializer(requestType),
    requestDeserialize: (bytes) => decodeRequest(requestType, bytes),
    responseSerialize: serializer(responseType),
    responseDeserialize: (bytes) => responseType.decode(bytes),
  }));
}

/** The definition for whoever passes messages on: each is its bytes, both ways. */
export function withRawCodec(definition: CompatServiceDefinition): ServiceDefinition {
  return withCodec(definition, () => ({
    requestSerialize: bytesOf,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: bytesOf,
    responseDeserialize: (bytes) => bytes,
  }));
}

interface Codec {
  requestSerialize(message: unknown): Uint8Array;
  requestDeserialize(bytes: Uint8Array): unknown;
  responseSerialize(message: unknown): Uint8Array;
  responseDeserialize(bytes: Uint8Array): unknown;
}

function withCodec(definition: CompatServiceDefinition, codecOf: (method: GeneratedMethod) => Codec) {
  const { fullName, methods } = definition as unknown as GeneratedDefinition;
  return Object.fromEntries(
    Object.entries(methods).map(([key, method]) => [
      key,
      {
        path: `/${fullName}/${method.name}`,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        ...codecOf(method),
        options: method.options,
      },
    ]),
  ) as unknown as ServiceDefinition;
}

/** A request whose bytes are no message of its type. grpc-js calls what a decoder throws the server's own fault. */
export class Malformed {
  readonly error: BerthError;

  constructor(cause: unknown) {
    this.error = malformed(cause);
  }
}

function decodeRequest(type: MessageType, bytes: Uint8Array): unknown {
  try {
    return type.decode(bytes);
  } catch (error) {
    return new Malformed(error);
  }
}

/** Spares nice-grpc's copy (see below) where the bytes are all of their memory. */
function bytesOf(message: unknown): Uint8Array {
  const bytes = message as Buffer;
  const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return isWhole ? (bytes.buffer as unknown as Uint8Array) : bytes;
}

/** What its caller gave that is no message of the type is the caller's mistake. @throws INVALID_ARGUMENT */
function requestSerializer(type: MessageType): (message: unknown) => Uint8Array {
  const serialize = serializer(type);
  return (message) => {
    try {
      return serialize(message);
    } catch (error) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `the request cannot be encoded: ${errorMessage(error)}`,
        {},
        { cause: error },
      );
    }
  };
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
