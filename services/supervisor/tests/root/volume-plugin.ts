// A volume plugin as Docker's protocol wants it: HTTP on a unix socket, JSON in and out, directories for volumes.
import { mkdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { dirname, join } from "node:path";

interface Request {
  Name?: string;
  ID?: string;
  Opts?: Record<string, string> | null;
}

/** Calls, in their order: "Mount data 5f…". */
export class VolumePlugin {
  readonly calls: string[] = [];
  /** Answered by the method named, instead of what it would do. */
  readonly failures = new Map<string, { status: number; body: string }>();
  readonly options = new Map<string, Record<string, string>>();
  implements: string[] = ["VolumeDriver"];
  scope = "global";
  readonly #server: Server;
  readonly #root: string;
  readonly #mounts = new Map<string, Set<string>>();

  private constructor(root: string) {
    this.#root = root;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.once("end", () => {
        const body = Buffer.concat(chunks).toString();
        void this.#answer((request.url ?? "").slice(1), body === "" ? {} : (JSON.parse(body) as Request)).then(
          ({ status, text }) => response.writeHead(status).end(text),
        );
      });
    });
  }

  static async start(socket: string, root: string): Promise<VolumePlugin> {
    const plugin = new VolumePlugin(root);
    await mkdir(dirname(socket), { recursive: true });
    await mkdir(root, { recursive: true });
    await new Promise<void>((resolve) => plugin.#server.listen(socket, resolve));
    return plugin;
  }

  /** Ids that a volume is mounted for. */
  mounted(name: string): string[] {
    return [...(this.#mounts.get(name) ?? [])];
  }

  /** A volume that nobody asked the engine for. */
  async add(name: string): Promise<void> {
    this.options.set(name, {});
    await mkdir(join(this.#root, name), { recursive: true });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(method: string, request: Request): Promise<{ status: number; text: string }> {
    const short = method.replace("VolumeDriver.", "");
    this.calls.push([short, request.Name, request.ID].filter(Boolean).join(" "));
    const failure = this.failures.get(short);
    if (failure !== undefined) return { status: failure.status, text: failure.body };
    return { status: 200, text: JSON.stringify(await this.#do(short, request)) };
  }

  async #do(method: string, { Name = "", ID = "", Opts }: Request): Promise<object> {
    const Mountpoint = join(this.#root, Name);
    const ids = this.#mounts.get(Name) ?? new Set<string>();
    switch (method) {
      case "Plugin.Activate":
        return { Implements: this.implements };
      case "Capabilities":
        return { Capabilities: { Scope: this.scope } };
      case "Create":
        this.options.set(Name, Opts ?? {});
        await mkdir(Mountpoint, { recursive: true });
        return { Err: "" };
      case "Get":
        if (!this.options.has(Name)) return { Err: "no such volume" };
        return { Volume: { Name, Mountpoint, CreatedAt: "2024-05-06T07:08:09.5Z", Status: { Hello: "world" } } };
      case "List":
        return { Volumes: [...this.options.keys()].map((one) => ({ Name: one, Mountpoint: "" })) };
      case "Mount":
        this.#mounts.set(Name, ids.add(ID));
        return { Mountpoint };
      case "Unmount":
        ids.delete(ID);
        return {};
      case "Path":
        return { Mountpoint };
      case "Remove":
        this.options.delete(Name);
        await rm(Mountpoint, { recursive: true, force: true });
        return {};
      default:
        return { Err: `what is ${method}?` };
    }
  }
}
