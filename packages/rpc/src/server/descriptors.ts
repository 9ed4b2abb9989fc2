import { BinaryReader } from "@bufbuild/protobuf/wire";

/** Where each symbol of a FileDescriptorSet (google/protobuf/descriptor.proto) is declared. */
export interface DescriptorIndex {
  fileOfSymbol(symbol: string): string | undefined;
  /** The serialized file and all it imports, itself first; empty when there is none of the name. */
  withDependencies(file: string): Buffer<ArrayBuffer>[];
}

interface File {
  bytes: Buffer<ArrayBuffer>;
  dependencies: string[];
}

/** Field numbers of descriptor.proto that are read here. */
const setFile = 1;
const file = { name: 1, package: 2, dependency: 3, message: 4, enum: 5, service: 6 } as const;
const message = { name: 1, nested: 3, enum: 4 } as const;
const service = { name: 1, method: 2 } as const;
const leafName = 1;
const lengthDelimited = 2;

export function indexDescriptors(set: Buffer): DescriptorIndex {
  const files = new Map<string, File>();
  const symbols = new Map<string, string>();
  for (const bytes of fields(set).get(setFile) ?? []) {
    const content = fields(bytes);
    const name = text(content.get(file.name));
    files.set(name, { bytes: copy(bytes), dependencies: (content.get(file.dependency) ?? []).map(utf8) });
    const scope = text(content.get(file.package));
    for (const symbol of symbolsOf(content, scope)) symbols.set(symbol, name);
  }
  return {
    fileOfSymbol: (symbol) => symbols.get(symbol),
    withDependencies(name) {
      const found = new Set<string>();
      const visit = (next: string) => {
        if (found.has(next) || !files.has(next)) return;
        found.add(next);
        for (const dependency of files.get(next)?.dependencies ?? []) visit(dependency);
      };
      visit(name);
      return [...found].flatMap((next) => files.get(next)?.bytes ?? []);
    },
  };
}

type Fields = Map<number, Uint8Array[]>;

function* symbolsOf(content: Fields, scope: string): Generator<string> {
  for (const bytes of content.get(file.message) ?? []) yield* messageSymbols(bytes, scope);
  for (const bytes of content.get(file.enum) ?? []) yield join(scope, text(fields(bytes).get(leafName)));
  for (const bytes of content.get(file.service) ?? []) {
    const parts = fields(bytes);
    const name = join(scope, text(parts.get(service.name)));
    yield name;
    for (const method of parts.get(service.method) ?? []) yield join(name, text(fields(method).get(leafName)));
  }
}

function* messageSymbols(bytes: Uint8Array, scope: string): Generator<string> {
  const parts = fields(bytes);
  const name = join(scope, text(parts.get(message.name)));
  yield name;
  for (const nested of parts.get(message.nested) ?? []) yield* messageSymbols(nested, name);
  for (const inner of parts.get(message.enum) ?? []) yield join(name, text(fields(inner).get(leafName)));
}

/** The length-delimited fields of a message, by number: names and messages, which is all that is asked for. */
function fields(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const found: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType !== lengthDelimited) {
      reader.skip(wireType);
      continue;
    }
    const values = found.get(number) ?? [];
    values.push(reader.bytes());
    found.set(number, values);
  }
  return found;
}

const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");
const text = (values: Uint8Array[] | undefined): string => (values?.[0] === undefined ? "" : utf8(values[0]));
const join = (scope: string, name: string): string => (scope === "" ? name : `${scope}.${name}`);
const copy = (bytes: Uint8Array): Buffer<ArrayBuffer> => Buffer.from(bytes);
