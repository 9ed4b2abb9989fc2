/** How a table's values become bytes and back. */
export interface Codec<V> {
  encode(value: V): string | Uint8Array;
  decode(bytes: Uint8Array): V;
}

const decoder = new TextDecoder();

export const json: Codec<unknown> = {
  encode: (value) => JSON.stringify(value),
  decode: (bytes) => JSON.parse(decoder.decode(bytes)) as unknown,
};

/** Bytes as they are, for values that are encoded already (a protobuf message, a digest). */
export const raw: Codec<Uint8Array> = { encode: (value) => value, decode: (bytes) => bytes };
