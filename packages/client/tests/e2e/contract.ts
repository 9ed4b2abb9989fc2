// What every gRPC of containers, volumes and images means, wherever it is asked: at a node's own sockets or at a gateway.
import { SupervisorDefinition, WaitCondition } from "@berth/api/containers";
import { ImageStoreDefinition } from "@berth/api/images";
import { RegistryProxyDefinition } from "@berth/api/registry";
import { VolumesDefinition } from "@berth/api/volumes";
import type { Reason } from "@berth/errors";
import { type Client, type Clients, createClients } from "@berth/rpc/client";
import { FrameReader, type OutputName } from "../../src/frames.ts";
import { tarOf } from "./tar.ts";

/** The same services, wherever they are. */
export interface Asked {
  supervisor: Client<typeof SupervisorDefinition>;
  volumes: Client<typeof VolumesDefinition>;
  images: Client<typeof ImageStoreDefinition>;
  registry: Client<typeof RegistryProxyDefinition>;
  close(): void;
}

/** `address` gives where a service is. */
export function ask(address: (service: string) => string): Asked {
  const clients: Clients = createClients(undefined, { hostId: "", patienceMs: 5_000 });
  return {
    supervisor: clients.at(SupervisorDefinition, address("supervisor")),
    volumes: clients.at(VolumesDefinition, address("supervisor")),
    images: clients.at(ImageStoreDefinition, address("image-store")),
    registry: clients.at(RegistryProxyDefinition, address("registry-proxy")),
    close: () => clients.close(),
  };
}

/** One call, or a few; `fails` is the reason with which it must. */
export interface Step {
  does: string;
  fails?: Reason;
  run(asked: Asked): Promise<unknown>;
}

const script = "echo out; echo err >&2; read line; echo $line; exit 7";
const container = "contract";

/** A container of an image, without a network. */
export async function specOf({ images }: Asked, image: string, cmd: string[]) {
  const { image: found } = await images.getImage({ reference: image });
  const { id = "", layers = [], platform } = found ?? {};
  const config = { image, cmd, openStdin: true };
  return { config, hostConfig: { networkMode: "none" }, imageId: id, layers, platform };
}

/** In this order: later ones stand on what earlier ones made. `image` is there already. */
export function contract(image: string): Step[] {
  const spec = (asked: Asked) => specOf(asked, image, ["sh", "-c", script]);
  const missing = { container: "nobody" };
  return [
    { does: "finds an image", run: ({ images }) => images.getImage({ reference: image }) },
    { does: "finds no image", fails: "NO_SUCH_IMAGE", run: ({ images }) => images.getImage({ reference: "nobody:1" }) },
    { does: "lists images", run: ({ images }) => images.listImages({ filters: { reference: { values: [image] } } }) },
    { does: "tags an image", run: ({ images }) => images.tagImage({ source: image, target: "contract:1" }) },
    {
      does: "creates a container",
      run: async (asked) =>
        asked.supervisor.create({ name: container, spec: await spec(asked), idempotencyKey: "once" }),
    },
    {
      does: "creates it once with one key",
      run: async (asked) => {
        const again = { name: container, spec: await spec(asked), idempotencyKey: "once" };
        const [{ id }, { container: made }] = [
          await asked.supervisor.create(again),
          await asked.supervisor.inspect({ container }),
        ];
        return id === made?.id;
      },
    },
    {
      does: "takes a name once",
      fails: "NAME_IN_USE",
      run: async (asked) => asked.supervisor.create({ name: container, spec: await spec(asked) }),
    },
    {
      does: "wants a specification",
      fails: "INVALID_ARGUMENT",
      run: ({ supervisor }) => supervisor.create({ name: "x1" }),
    },
    { does: "inspects by name", run: ({ supervisor }) => supervisor.inspect({ container: `/${container}` }) },
    {
      does: "inspects by id and prefix",
      run: async ({ supervisor }) => {
        const { container: found } = await supervisor.inspect({ container, size: true });
        const byPrefix = await supervisor.inspect({ container: found?.id.slice(0, 20) ?? "" });
        return [byPrefix.container?.id === found?.id, found?.sizeRw];
      },
    },
    {
      does: "joins streams before the start, waits, and sees the end",
      run: async ({ supervisor }) => {
        const waiting = supervisor.wait({ container, condition: WaitCondition.NEXT_EXIT })[Symbol.asyncIterator]();
        const registered = await waiting.next();
        const start = { container, stdin: true, stdout: true, stderr: true };
        // The last line is the last one only when the others have come.
        const heard = Promise.withResolvers<string>();
        const output = readStream(supervisor.attach(requests(start, [heard.promise])), ({ stdout, stderr }) => {
          if (stdout !== "" && stderr !== "") heard.resolve("in\n");
        });
        await output.ready;
        await supervisor.start({ container });
        const bytes = await output.whole;
        return [registered.value, bytes, (await waiting.next()).value];
      },
    },
    { does: "reads a log", run: ({ supervisor }) => logOf(supervisor.logs({ container, stdout: true, stderr: true })) },
    {
      does: "reads a log's end, for whoever claims a host too",
      run: ({ supervisor }) => logOf(supervisor.logs({ container, stdout: true, tail: 1, hostId: "elsewhere" })),
    },
    {
      does: "wants one of the outputs",
      fails: "INVALID_ARGUMENT",
      run: ({ supervisor }) => logOf(supervisor.logs({ container })),
    },
    {
      does: "does not kill what does not run",
      fails: "CONTAINER_NOT_RUNNING",
      run: ({ supervisor }) => supervisor.kill({ container }),
    },
    {
      does: "starts again, once",
      fails: "NOT_MODIFIED",
      run: async ({ supervisor }) => {
        await supervisor.start({ container });
        await supervisor.start({ container });
      },
    },
    {
      does: "refuses a signal",
      fails: "INVALID_ARGUMENT",
      run: ({ supervisor }) => supervisor.kill({ container, signal: "NO" }),
    },
    {
      does: "lists what runs",
      run: ({ supervisor }) => supervisor.list({ filters: { name: { values: [`^/${container}$`] } } }),
    },
    {
      does: "lists nobody of no status",
      run: ({ supervisor }) => supervisor.list({ filters: { status: { values: ["gone"] } } }),
    },
    {
      does: "shows processes",
      run: async ({ supervisor }) => (await supervisor.top({ container, psArgs: "-o pid,args" })).titles,
    },
    {
      does: "counts",
      run: async ({ supervisor }) => {
        const names: string[] = [(await supervisor.readStats({ container })).name];
        for await (const { name } of supervisor.stats({ container, follow: true })) if (names.push(name) === 3) break;
        return names;
      },
    },
    {
      does: "gives up at a deadline",
      fails: "DEADLINE",
      run: ({ supervisor }) => Array.fromAsync(supervisor.wait({ container }, { timeoutMs: 300 })),
    },
    {
      does: "runs an exec",
      run: async ({ supervisor }) => {
        const cmd = ["sh", "-c", "cat; echo bad >&2; exit 3"];
        const { id: exec } = await supervisor.createExec({
          container,
          cmd,
          attachStdin: true,
          attachStdout: true,
          attachStderr: true,
        });
        const output = readStream(supervisor.startExec(requests({ exec }, ["one\n", "two\n"])));
        return [await output.ready, await output.whole, await supervisor.inspectExec({ exec })];
      },
    },
    {
      does: "says why an exec does not start",
      fails: "START_FAILED",
      run: async ({ supervisor }) => {
        const { id: exec } = await supervisor.createExec({ container, cmd: ["/nobody"], attachStdout: true });
        return readStream(supervisor.startExec(requests({ exec }, []))).whole;
      },
    },
    {
      does: "resizes no terminal that is not there",
      fails: "NO_SUCH_EXEC",
      run: ({ supervisor }) => supervisor.resize({ exec: "e", rows: 1, columns: 1 }),
    },
    { does: "pauses", run: ({ supervisor }) => supervisor.pause({ container }) },
    {
      does: "runs nothing in what is paused",
      fails: "CONTAINER_PAUSED",
      run: ({ supervisor }) => supervisor.createExec({ container, cmd: ["true"] }),
    },
    { does: "goes on", run: ({ supervisor }) => supervisor.unpause({ container }) },
    { does: "updates", run: ({ supervisor }) => supervisor.update({ container, resources: { cpuShares: 512 } }) },
    { does: "renames", run: ({ supervisor }) => supervisor.rename({ container, name: "contract2" }) },
    {
      does: "knows the old name no more",
      fails: "NO_SUCH_CONTAINER",
      run: ({ supervisor }) => supervisor.inspect({ container }),
    },
    { does: "renames back", run: ({ supervisor }) => supervisor.rename({ container: "contract2", name: container }) },
    {
      does: "takes an archive",
      run: ({ supervisor }) =>
        supervisor.writeArchive(
          archive({ container, path: "/tmp" }, [tarOf("big", Buffer.alloc(3_000_000, 65)), Buffer.alloc(0)]),
        ),
    },
    {
      does: "does not take half an archive",
      fails: "CANCELLED",
      run: ({ supervisor }) =>
        supervisor.writeArchive(archive({ container, path: "/tmp" }, [tarOf("half", Buffer.alloc(9))])),
    },
    {
      does: "takes no archive into nowhere",
      fails: "NOT_FOUND",
      run: ({ supervisor }) => supervisor.writeArchive(archive({ container, path: "/nobody" }, [Buffer.alloc(0)])),
    },
    {
      does: "takes nothing for a start of nothing",
      fails: "INVALID_ARGUMENT",
      run: ({ supervisor }) => supervisor.writeArchive(nothing()),
    },
    { does: "looks at a path", run: ({ supervisor }) => supervisor.statPath({ container, path: "/tmp/big" }) },
    {
      does: "finds no path",
      fails: "NOT_FOUND",
      run: ({ supervisor }) => supervisor.statPath({ container, path: "/nobody" }),
    },
    {
      does: "gives an archive",
      run: async ({ supervisor }) => {
        const messages = await Array.fromAsync(
          supervisor.readArchive({ container, path: "/tmp/big", hostId: "elsewhere" }),
        );
        const kinds = new Set(messages.map(({ message }) => message?.$case));
        const bytes = messages.reduce(
          (sum, { message }) => sum + (message?.$case === "data" ? message.value.length : 0),
          0,
        );
        return [[...kinds], bytes];
      },
    },
    {
      does: "exports",
      run: async ({ supervisor }) => {
        let bytes = 0;
        for await (const { data } of supervisor.export({ container })) bytes += data.length;
        return bytes > 1_000_000;
      },
    },
    {
      does: "tells what changed",
      run: async ({ supervisor }) =>
        (await Array.fromAsync(supervisor.changes({ container })))
          .flatMap(({ changes }) => changes)
          // How far the half archive came nobody promises.
          .filter(({ path }) => path !== "/tmp/half"),
    },
    {
      does: "commits",
      run: ({ supervisor }) => supervisor.commit({ container, reference: "contract:2", config: Buffer.from("{}") }),
    },
    {
      does: "does not remove what runs",
      fails: "CONFLICT",
      run: ({ supervisor }) => supervisor.remove({ container }),
    },
    { does: "stops", run: ({ supervisor }) => supervisor.stop({ container, timeout: 0 }) },
    { does: "restarts", run: ({ supervisor }) => supervisor.restart({ container, timeout: 0 }) },
    { does: "removes by force", run: ({ supervisor }) => supervisor.remove({ container, force: true }) },
    { does: "starts nobody", fails: "NO_SUCH_CONTAINER", run: ({ supervisor }) => supervisor.start(missing) },
    { does: "starts nobody without a name", fails: "INVALID_ARGUMENT", run: ({ supervisor }) => supervisor.start({}) },
    { does: "removes nobody", fails: "NO_SUCH_CONTAINER", run: ({ supervisor }) => supervisor.remove(missing) },
    {
      does: "removes no link of nobody's",
      fails: "NO_SUCH_CONTAINER",
      run: ({ supervisor }) => supervisor.remove({ container: "a/b", link: true }),
    },
    {
      does: "waits for nobody",
      fails: "NO_SUCH_CONTAINER",
      run: ({ supervisor }) => Array.fromAsync(supervisor.wait(missing)),
    },
    {
      does: "joins nobody",
      fails: "NO_SUCH_CONTAINER",
      run: ({ supervisor }) => readStream(supervisor.attach(requests(missing, []))).whole,
    },
    {
      does: "starts no exec",
      fails: "NO_SUCH_EXEC",
      run: ({ supervisor }) => readStream(supervisor.startExec(requests({ exec: "e" }, []))).whole,
    },
    { does: "inspects no exec", fails: "NO_SUCH_EXEC", run: ({ supervisor }) => supervisor.inspectExec({ exec: "e" }) },
    {
      does: "creates a volume",
      run: ({ volumes }) => volumes.create({ name: "contract", labels: { values: { a: "b" } } }),
    },
    { does: "inspects a volume", run: ({ volumes }) => volumes.inspect({ name: "contract" }) },
    { does: "finds no volume", fails: "NO_SUCH_VOLUME", run: ({ volumes }) => volumes.inspect({ name: "nobody" }) },
    { does: "lists volumes", run: ({ volumes }) => volumes.list({ filters: { name: { values: ["contract"] } } }) },
    {
      does: "refuses a volume's name",
      fails: "INVALID_ARGUMENT",
      run: ({ volumes }) => volumes.create({ name: "a/b" }),
    },
    { does: "removes no volume", fails: "NO_SUCH_VOLUME", run: ({ volumes }) => volumes.remove({ name: "nobody" }) },
    { does: "removes no volume by force", run: ({ volumes }) => volumes.remove({ name: "nobody", force: true }) },
    {
      does: "prunes volumes",
      run: ({ volumes }) => volumes.prune({ filters: { all: { values: ["true"] }, label: { values: ["a=b"] } } }),
    },
    {
      does: "lists networks",
      run: async ({ supervisor }) => (await supervisor.listNetworks({})).networks.map(({ name }) => name),
    },
    {
      does: "saves images",
      run: async ({ images }) => (await Array.fromAsync(images.saveImages({ references: ["contract:1"] }))).length > 0,
    },
    {
      does: "loads no image of rubbish",
      fails: "INVALID_ARGUMENT",
      run: ({ images }) => Array.fromAsync(images.loadImages(rubbish())),
    },
    { does: "removes a tag", run: ({ images }) => images.removeImage({ reference: "contract:1" }) },
    {
      does: "removes an image",
      run: async ({ images }) => (await images.removeImage({ reference: "contract:2" })).untagged,
    },
    {
      does: "pulls nothing from nowhere",
      fails: "UNAVAILABLE",
      run: ({ registry }) => Array.fromAsync(registry.pull({ reference: "127.0.0.1:1/nobody" })),
    },
  ];
}

async function* requests<Start>(start: Start, input: (string | Promise<string>)[]) {
  yield { message: { $case: "start" as const, value: start } };
  for (const text of input) yield { message: { $case: "stdin" as const, value: Buffer.from(await text) } };
  yield { message: { $case: "closeStdin" as const, value: {} } };
  await new Promise(() => {});
}

async function* archive<Start>(start: Start, pieces: Buffer[]) {
  yield { message: { $case: "start" as const, value: start } };
  for (const value of pieces) yield { message: { $case: "data" as const, value } };
}

async function* nothing(): AsyncGenerator<never> {}

async function* rubbish() {
  yield { data: Buffer.from("this is no archive of images") };
  yield { data: Buffer.alloc(0) };
}

interface StreamAnswer {
  message?: { $case: "ready"; value: { tty: boolean } } | { $case: "data"; value: Buffer } | undefined;
}

type Outputs = Record<OutputName, string>;

/** The first answer, and all output after it; `hear` is told of what there is so far. */
function readStream(
  answers: AsyncIterable<StreamAnswer>,
  hear: (outputs: Outputs) => void = () => {},
): { ready: Promise<unknown>; whole: Promise<Outputs> } {
  const iterator = answers[Symbol.asyncIterator]();
  const ready = iterator.next().then(({ value }) => (value as StreamAnswer | undefined)?.message);
  const read = async () => {
    await ready;
    return takeApart(
      (async function* () {
        for await (const { message } of { [Symbol.asyncIterator]: () => iterator })
          if (message?.$case === "data") yield message.value;
      })(),
      hear,
    );
  };
  const whole = read();
  whole.catch(() => undefined);
  ready.catch(() => undefined);
  return { ready, whole };
}

async function logOf(answers: AsyncIterable<{ data: Buffer }>): Promise<Outputs> {
  return takeApart((await Array.fromAsync(answers)).map(({ data }) => data));
}

/** The two outputs: in which order they come nobody promises. */
async function takeApart(
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  hear: (outputs: Outputs) => void = () => {},
): Promise<Outputs> {
  const frames = new FrameReader(false);
  const outputs = { stdout: "", stderr: "" };
  for await (const piece of pieces) {
    for (const { stream, data } of frames.read(piece)) outputs[stream] += data.toString("latin1");
    hear(outputs);
  }
  return outputs;
}
