const block = 512;

/** A tar of one file (POSIX ustar): what tests put into containers. */
export function tarOf(name: string, content: Buffer): Buffer {
  const head = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number) =>
    head.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "ascii");
  head.write(name, 0, "utf8");
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content.length, 124, 12);
  octal(1_700_000_000, 136, 12);
  head.write("        0", 148, "ascii");
  head.write("ustar\x0000", 257, "ascii");
  octal(
    head.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  const padding = Buffer.alloc((block - (content.length % block)) % block);
  return Buffer.concat([head, content, padding, Buffer.alloc(2 * block)]);
}
