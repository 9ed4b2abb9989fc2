import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const timeoutMs = 5_000;
/** `docker info` waits no longer for a runtime; what it says later is there the next time. */
const patienceMs = 500;
const maxBytes = 1 << 20;

/** What OCI runtimes say of themselves (runtime-spec, features.md): each is asked once, and again when its program is another. */
export class Features {
  readonly #known = new Map<string, { changed: number; text: Promise<string> }>();

  /** JSON on one line; empty for a program that is not there, gives none, or is slow to say so. */
  async of(path: string, args: readonly string[]): Promise<string> {
    const key = [path, ...args].join("\0");
    const changed = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
    if (changed === undefined) return "";
    const known = this.#known.get(key);
    const text = known?.changed === changed ? known.text : ask(path, args);
    this.#known.set(key, { changed, text });
    return Promise.race([text, sleep(patienceMs, "", { ref: false })]);
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
