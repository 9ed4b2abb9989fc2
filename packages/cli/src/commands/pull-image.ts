import type { Engine } from "../engine/client.ts";
import { EngineError, jsonLines } from "../engine/client.ts";
import { splitReference } from "./reference.ts";

interface Message {
  status?: string;
  id?: string;
  progress?: string;
  stream?: string;
  error?: string;
  errorDetail?: { message?: string };
}

export interface PullOptions {
  platform?: string | undefined;
  quiet: boolean;
  stream: NodeJS.WriteStream;
}

/** Pulls and shows progress. @throws EngineError */
export async function pullImage(
  engine: Engine,
  image: string,
  { platform, quiet, stream }: PullOptions,
): Promise<void> {
  const { name, tag } = splitReference(image);
  const query = { fromImage: name, tag: tag || "latest", platform };
  await showProgress(await engine.open("POST", "/images/create", { query }), quiet, stream);
}

/** A stream of messages: a line each layer that is rewritten on a terminal, one line a step elsewhere. */
export async function showProgress(
  answer: AsyncIterable<Buffer>,
  quiet: boolean,
  stream: NodeJS.WriteStream,
): Promise<void> {
  const lines = new Map<string, number>();
  let count = 0;
  for await (const message of jsonLines<Message>(answer)) {
    if (message.error !== undefined) throw new EngineError(500, message.errorDetail?.message ?? message.error);
    if (quiet) continue;
    if (message.stream !== undefined) {
      stream.write(message.stream);
      continue;
    }
    const { id, status = "", progress } = message;
    const text = `${id === undefined ? "" : `${id}: `}${status}${progress === undefined ? "" : ` ${progress}`}`;
    if (!stream.isTTY) {
      if (progress === undefined) stream.write(`${text}\n`);
      continue;
    }
    const isLayer = id !== undefined && !status.startsWith("Pulling from");
    const line = isLayer ? lines.get(id) : undefined;
    if (line === undefined) {
      if (isLayer) lines.set(id, count);
      else lines.clear();
      count = isLayer ? count + 1 : 0;
      stream.write(`${text}\n`);
    } else {
      const up = count - line;
      stream.write(`\u001b[${up}A\u001b[2K\r${text}\u001b[${up}B\r`);
    }
  }
}
