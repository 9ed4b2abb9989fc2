const block = 512;

/** One regular file of an archive. */
export interface TarEntry {
  name: string;
  content: Buffer;
  /** Permission bits; 0644 unless given. */
  mode?: number;
}

/** A POSIX ustar archive in memory, with owner root and times of 0: the same input gives the same bytes. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => [header(entry), entry.content, Buffer.alloc(padding(entry.content.length))]);
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

const padding = (size: number): number => (block - (size % block)) % block;

/** Field offsets and widths are those of POSIX.1-1988 ustar. */
function header({ name, content, mode = 0o644 }: TarEntry): Buffer {
  if (Buffer.byteLength(name) > 100) throw new RangeError(`the name ${name} is too long for ustar`);
  const bytes = Buffer.alloc(block);
  const octal = (value: number, offset: number, width: number) =>
    bytes.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, width, "latin1");
  bytes.write(name, 0, 100, "utf8");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(0, 136, 12);
  bytes.write("0", 156, 1, "latin1");
  bytes.write("ustar\x0000", 257, 8, "latin1");
  // The checksum is summed with its own field as spaces.
  bytes.fill(" ", 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return bytes;
}
