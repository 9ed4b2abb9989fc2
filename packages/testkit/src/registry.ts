// Debian's docker-registry, with its content in a directory.
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, run, stop } from "./process.ts";

export interface Registry {
  /** "127.0.0.1:5000", as image names start. */
  readonly host: string;
  stop(): Promise<void>;
}

export interface RegistryOptions {
  /** Content and configuration go here; kept when the registry stops, so another one may serve it again. */
  readonly dir: string;
  readonly port?: number;
  /** Loopback unless given. */
  readonly address?: string;
  /** Words that put a command into a network namespace (NetworkNamespace.enter). */
  readonly enter?: readonly string[];
}

export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const { dir, port = 5000, address = "127.0.0.1", enter = [] } = options;
  await mkdir(join(dir, "data"), { recursive: true });
  const config = join(dir, `config-${port}.yml`);
  await writeFile(
    config,
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${join(dir, "data")} }, delete: { enabled: true } }
http: { addr: ${address}:${port} }
`,
  );
  const [file, ...args] = [...enter, "docker-registry", "serve", config];
  const child = spawn(file as string, args, { stdio: ["ignore", "ignore", "inherit"] });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  const ready = eventually("registry answers", async () => {
    // Asked from inside the namespace: bash's own /dev/tcp needs no further package.
    const probe = await run([...enter, "bash", "-c", `exec 3<>/dev/tcp/${address}/${port}`]);
    return probe.code === 0 || undefined;
  });
  await Promise.race([ready, failed]);
  return { host: `${address}:${port}`, stop: () => stop(child) };
}
