/** Builds tar archives byte by byte, so that tests can get every field wrong. */

export interface Member {
  readonly name: string;
  /** Typeflag; "0" by default, "5" if the name ends with a slash. */
  readonly type?: string;
  readonly data?: Buffer | string;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  /** A pax extended header before the member. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** What the size field says, if not the data's length. */
  readonly size?: number;
  /** Changes the finished header block; the checksum is made after `before`, and not again after `after`. */
  readonly before?: (block: Buffer) => void;
  readonly after?: (block: Buffer) => void;
  /** "ustar\0" + "00" by default. */
  readonly magic?: string;
}

const pad = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
const octal = (value: number, size: number): string => `${value.toString(8).padStart(size - 1, "0")}\0`;

export function header(member: Member, size: number): Buffer {
  const block = Buffer.alloc(512);
  const type = member.type ?? (member.name.endsWith("/") ? "5" : "0");
  block.write(member.name.slice(0, 100), 0, "latin1");
  block.write(octal(member.mode ?? (type === "5" ? 0o755 : 0o644), 8), 100);
  block.write(octal(member.uid ?? 0, 8), 108);
  block.write(octal(member.gid ?? 0, 8), 116);
  block.write(octal(member.size ?? size, 12), 124);
  block.write(octal(member.mtime ?? 1_600_000_000, 12), 136);
  block.write(type, 156, "latin1");
  block.write((member.link ?? "").slice(0, 100), 157, "latin1");
  block.write(member.magic ?? "ustar\x0000", 257, "latin1");
  block.write(octal(member.major ?? 0, 8), 329);
  block.write(octal(member.minor ?? 0, 8), 337);
  member.before?.(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  member.after?.(block);
  return block;
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function member(entry: Member): Buffer {
  const data = Buffer.from(entry.data ?? "");
  const parts: Buffer[] = [];
  if (entry.pax) {
    const records = Buffer.concat(Object.entries(entry.pax).map(([key, value]) => paxRecord(key, value)));
    parts.push(header({ name: "PaxHeaders/x", type: "x" }, records.length), pad(records));
  }
  parts.push(header(entry, data.length), pad(data));
  return Buffer.concat(parts);
}

export const end = Buffer.alloc(1024);

export const tar = (...members: readonly (Member | Buffer)[]): Buffer =>
  Buffer.concat([...members.map((entry) => (Buffer.isBuffer(entry) ? entry : member(entry))), end]);
