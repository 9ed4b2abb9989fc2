import { BerthError, errorMessage } from "@berth/errors";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";

/** Of protobuf's wire format: texts, bytes and messages all go with their length before them. */
const lengthDelimited = 2;

/**
 * One text of an encoded message, without decoding the rest. `path` are field numbers, from the message inwards. As with any decoder the last
 * of several counts; "" where the field is absent. Undefined where the bytes are no message.
 */
export function readText(message: Uint8Array, path: readonly number[]): string | undefined {
  try {
    const found = path.reduce<Uint8Array | undefined>(
      (bytes, field) => (bytes === undefined ? undefined : lastField(bytes, field)),
      message,
    );
    return found === undefined ? "" : Buffer.from(found.buffer, found.byteOffset, found.byteLength).toString("utf8");
  } catch {
    return undefined;
  }
}

function lastField(message: Uint8Array, wanted: number): Uint8Array | undefined {
  const reader = new BinaryReader(message);
  let found: Uint8Array | undefined;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === lengthDelimited) found = reader.bytes();
    else reader.skip(type, field);
  }
  return found;
}

/** The encoded message with another text in a field of its own: of several, the last counts. */
export function withText(message: Uint8Array, field: number, text: string): Buffer {
  const added = new BinaryWriter().uint32((field << 3) | lengthDelimited).string(text);
  return Buffer.concat([message, added.finish()]);
}

/** What ts-proto makes of a message's type, as far as it is used here. */
export interface MessageCodec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** For whoever looks into a message that is passed on. @throws INVALID_ARGUMENT, as a server does that is sent it */
export function decodeMessage<T>(type: MessageCodec<T>, bytes: Uint8Array): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}

export function encodeMessage<T>(type: MessageCodec<T>, message: T): Buffer {
  const bytes = type.encode(message).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function malformed(cause: unknown): BerthError {
  return new BerthError("INVALID_ARGUMENT", `the request cannot be decoded: ${errorMessage(cause)}`, {}, { cause });
}
