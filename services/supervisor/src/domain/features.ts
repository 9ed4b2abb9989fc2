import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";

const timeoutMs = 5_000;
const maxBytes = 1 << 20;

/** What OCI runtimes say of themselves (runtime-spec, features.md): each is asked once, and again when its program is another. */
export class Features {
  readonly #known = new Map<string, { changed: number; text: Promise<string> }>();

  /** JSON on one line; empty for a program that is not there or gives none. */
  async of(path: string, args: readonly string[]): Promise<string> {
    const key = [path, ...args].join("\0");
    const changed = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
    if (changed === undefined) return "";
    const known = this.#known.get(key);
    if (known?.changed === changed) return known.text;
    const text = ask(path, args);
    this.#known.set(key, { changed, text });
    return text;
  }
}

function ask(path: string, args: readonly string[]): Promise<string> {
  const options = { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: maxBytes } as const;
  return new Promise((resolve) => {
    const child = execFile(path, [...args, "features"], options, (error, output) => {
      resolve(error === null ? compact(output) : "");
    });
    child.stdin?.end();
  });
}

function compact(text: string): string {
  try {
    const features: unknown = JSON.parse(text);
    return typeof features === "object" && features !== null ? JSON.stringify(features) : "";
  } catch {
    return "";
  }
}
