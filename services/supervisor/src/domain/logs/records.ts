import type { LogFile } from "./files.ts";
import { readAt, sizeOf, sourceOf } from "./source.ts";

/** How a log file is made of records; see native/isolation/PROTOCOL.md, "The log's files". */
export interface RecordFormat {
  /** bytes before the first record */
  readonly header: number;
  /** Where the record that begins at `start` ends, its last byte included; -1: not whole within `length`; -2: no record. */
  end(buffer: Buffer, start: number, length: number): number;
}

/** Longer than any line the monitor writes (16 KiB of output, each byte escaped, and attributes): it is no log. */
export const maxRecord = 1 << 20;

/** Docker's: a JSON object a line. */
export const jsonRecords: RecordFormat = {
  header: 0,
  end(buffer, start, length) {
    const at = buffer.indexOf(10, start);
    return at < 0 || at >= length ? -1 : at + 1;
  },
};

/** Around the content of a compact record, and in front of it. */
export const compactOverhead = 17;
export const compactHead = 13;
const maxContent = 16_385;

/** Ours: size, flags, time, content, size. */
export const compactRecords: RecordFormat = {
  header: 16,
  end(buffer, start, length) {
    if (start + 4 > length) return -1;
    const size = buffer.readUInt32LE(start);
    if (size > maxContent) return -2;
    const end = start + size + compactOverhead;
    return end > length ? -1 : end;
  },
};

const blockSize = 64 * 1024;

/**
 * Where the last `count` records before `end`, an offset in the newest file, begin. Plain files are read backwards, block by block;
 * compressed ones from the start.
 */
export async function findTail(
  files: readonly LogFile[],
  format: RecordFormat,
  count: number,
  end: number,
): Promise<{ index: number; offset: number }> {
  let wanted = count;
  for (let index = files.length - 1; index >= 0; index--) {
    const file = files[index] as LogFile;
    const size = index === files.length - 1 ? end : sizeOf(file);
    const found = file.compressed
      ? await tailOfCompressed(file, format, wanted)
      : format === compactRecords
        ? await tailOfCompact(file, wanted, size)
        : await tailOfLines(file, wanted, size);
    if (found.offset !== undefined) return { index, offset: found.offset };
    wanted -= found.records;
    if (wanted <= 0) return { index, offset: format.header };
  }
  return { index: 0, offset: format.header };
}

interface Found {
  /** Where the wanted records begin; undefined: the file has fewer. */
  offset: number | undefined;
  records: number;
}

async function tailOfLines(file: LogFile, count: number, size: number): Promise<Found> {
  const block = Buffer.allocUnsafe(blockSize);
  let lines = 0;
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - blockSize);
    const bytesRead = await readAt(file, block, 0, end - begin, begin);
    let at = block.subarray(0, bytesRead).lastIndexOf(10);
    for (; at >= 0; at = at === 0 ? -1 : block.lastIndexOf(10, at - 1)) {
      // The newline at the very end closes the last line and begins none.
      if (begin + at === size - 1) continue;
      lines++;
      if (lines === count) return { offset: begin + at + 1, records: lines };
    }
    end = begin;
  }
  return { offset: undefined, records: size > 0 ? lines + 1 : 0 };
}

/** From trailing size to trailing size. The writer may be in the middle of a record: what does not fit together is left out. */
async function tailOfCompact(file: LogFile, count: number, from: number): Promise<Found> {
  const block = Buffer.allocUnsafe(blockSize);
  let records = 0;
  let end = from;
  let begin = end;
  while (end > compactRecords.header) {
    let size = -1;
    for (let attempt = 0; attempt < 2; attempt++) {
      if (end - 4 >= begin) size = block.readUInt32LE(end - 4 - begin);
      if (size >= 0 && end - size - compactOverhead >= begin) break;
      begin = Math.max(compactRecords.header, end - blockSize);
      if ((await readAt(file, block, 0, end - begin, begin)) < end - begin) return { offset: undefined, records };
    }
    const start = end - size - compactOverhead;
    if (size < 0 || start < begin || block.readUInt32LE(start - begin) !== size) return { offset: undefined, records };
    end = start;
    if (++records === count) return { offset: start, records };
  }
  return { offset: undefined, records };
}

async function tailOfCompressed(file: LogFile, format: RecordFormat, count: number): Promise<Found> {
  let records = 0;
  for await (const _ of recordStarts(file, format)) records++;
  if (records < count) return { offset: undefined, records };
  let skip = records - count;
  for await (const offset of recordStarts(file, format)) if (skip-- === 0) return { offset, records };
  return { offset: undefined, records };
}

async function* recordStarts(file: LogFile, format: RecordFormat): AsyncGenerator<number> {
  const source = sourceOf(file, format.header);
  const buffer = Buffer.allocUnsafe(2 * maxRecord);
  let length = 0;
  let base = format.header;
  try {
    for (;;) {
      const count = await source.read(buffer, length, maxRecord);
      if (count === 0) return;
      length += count;
      let start = 0;
      for (let end = format.end(buffer, start, length); end > 0; end = format.end(buffer, start, length)) {
        yield base + start;
        start = end;
      }
      if (length - start >= maxRecord) return;
      buffer.copyWithin(0, start, length);
      base += start;
      length -= start;
    }
  } finally {
    source.close();
  }
}
