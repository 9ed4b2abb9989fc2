import { errorMessage } from "@berth/errors";
import { Engine, type Reporter } from "./engine.ts";
import { releaseMemory } from "./memory.ts";
import { help, type LauncherOptions, readOptions } from "./options.ts";

await main();

async function main(): Promise<void> {
  process.title = "berth-launcher";
  let options: LauncherOptions | undefined;
  try {
    options = readOptions(process.argv.slice(2), process.env);
    if (options === undefined) {
      process.stdout.write(help);
      return;
    }
    requireRoot();
    await run(options);
  } catch (error) {
    process.stderr.write(`berth: ${errorMessage(error)}\n`);
    process.exitCode = 1;
  } finally {
    // A channel to whoever started us would keep this process.
    process.disconnect?.();
  }
}

function requireRoot(): void {
  if (process.getuid?.() !== 0)
    throw new Error("the engine makes namespaces, mounts and networks: it must be started by root (sudo npm start)");
}

async function run(options: LauncherOptions): Promise<void> {
  const reporter = makeReporter(options);
  const engine = new Engine(options, reporter);
  const asked = endRequest();
  const began = performance.now();
  const started = engine.start();
  // Ctrl-C while starting: stop() makes start() fail, which is then no error.
  await Promise.race([started, asked.then(() => engine.stop())]);
  if (asked.happened()) {
    await Promise.allSettled([started]);
    return;
  }
  process.send?.({ ready: true });
  reporter.say(
    `Berth is serving at ${options.hosts.join(" and ")} (${((performance.now() - began) / 1000).toFixed(1)} s)`,
  );
  sayHowItStands(engine, reporter);
  if (options.hello && engine.runs("gateway")) await sayHello(options, reporter);
  releaseMemory();
  process.on("SIGUSR2", () => {
    engine.reload().catch((error: unknown) => reporter.warn(errorMessage(error)));
  });
  await asked;
  reporter.say("stopping; containers run on");
  await engine.stop();
}

function sayHowItStands({ identity }: Engine, reporter: Reporter): void {
  if (identity === undefined) return;
  const { kind, advertise, authorities } = identity.settings;
  if (kind === "joined") reporter.say(`This host is a node of the engine at ${authorities.join(", ")}`);
  else reporter.say(`The engine is open to other hosts at ${advertise}: npx berth node token lets one join`);
}

interface EndRequest extends Promise<void> {
  happened(): boolean;
}

/** Resolves on SIGTERM, SIGINT, or when a parent that talks to us by IPC is gone. */
function endRequest(): EndRequest {
  let happened = false;
  const promise = new Promise<void>((resolve) => {
    const end = () => {
      happened = true;
      resolve();
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
    process.on("SIGHUP", end);
    process.on("disconnect", end);
  });
  return Object.assign(promise, { happened: () => happened });
}

function makeReporter({ quiet, verbose }: LauncherOptions): Reporter {
  return {
    say: (line) => {
      if (!quiet) process.stdout.write(`${line}\n`);
    },
    warn: (line) => process.stderr.write(`berth: ${line}\n`),
    output: verbose
      ? (service, text) => process.stderr.write(text.replace(/^(?=.)/gm, `${service.padEnd(14)} | `))
      : undefined,
  };
}

async function sayHello({ hosts }: LauncherOptions, reporter: Reporter): Promise<void> {
  const host = hosts.find((url) => url.startsWith("unix://"));
  if (host === undefined) return;
  try {
    // Most starts have no use for it, nor for the HTTP client that it needs.
    const { runHello } = await import("./hello.ts");
    reporter.say(await runHello(host.slice("unix://".length)));
    reporter.say(
      `Go on with\n  docker -H ${host} run --rm -it busybox sh\n  npx berth run --rm -it busybox sh\nCtrl-C stops the engine; containers run on.`,
    );
  } catch (error) {
    reporter.warn(`the engine serves, but hello-berth did not run: ${errorMessage(error)}`);
  }
}
