// One emulated machine: started, read from its serial console, and ended in any case.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Tools } from "./packages.ts";

/** Beyond this the console is taken for a loop. */
const MAX_CONSOLE_BYTES = 8 << 20;

export interface MachineOptions {
  readonly initramfs: string;
  /** /dev/vda, /dev/vdb, … in the machine. */
  readonly disks: readonly string[];
  /** After this the machine is killed and the run fails. */
  readonly timeoutMs: number;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Given each line of the console, without its end. */
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Runs it until it powers itself off. Throws when it does not in time, or cannot start at all. */
export async function runMachine(tools: Tools, options: MachineOptions): Promise<void> {
  const args = [
    ...tools.qemu.args,
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    // tcg: hardware virtualization is not there on the machines this runs on.
    "-machine",
    "q35,accel=tcg,usb=off,smbus=off,hpet=off",
    "-cpu",
    "max",
    "-smp",
    String(options.cpus),
    "-m",
    String(options.memoryMiB),
    "-kernel",
    tools.kernel,
    "-initrd",
    options.initramfs,
    "-append",
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable random.trust_cpu=on cgroup_no_v1=all",
    "-serial",
    "stdio",
    ...options.disks.flatMap((disk, index) => [
      ...["-drive", `file=${disk},format=raw,if=none,id=disk${index}`],
      ...["-device", `virtio-blk-pci,drive=disk${index}`],
    ]),
  ];
  const machine = spawn(tools.qemu.command, args, { env: tools.qemu.env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    machine.once("error", reject);
    machine.once("close", (code) => resolve(code));
  });
  let failure: Error | undefined;
  const fail = (message: string): void => {
    failure ??= new Error(message);
    machine.kill("SIGKILL");
  };
  const timer = setTimeout(() => fail(`the machine did not end within ${options.timeoutMs} ms`), options.timeoutMs);
  const onAbort = (): void => fail("cancelled");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  let complaints = "";
  machine.stderr.on("data", (data: Buffer) => {
    complaints = (complaints + data.toString()).slice(-4096);
  });
  let received = 0;
  machine.stdout.on("data", (data: Buffer) => {
    received += data.length;
    if (received > MAX_CONSOLE_BYTES) fail("the console does not stop");
  });
  const lines = createInterface({ input: machine.stdout });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's escape sequences are what is removed
  lines.on("line", (line) => options.onLine(line.replace(/\u001b\[[0-9;?]*[A-Za-z]|\r/g, "")));
  try {
    const code = await ended;
    if (failure !== undefined) throw failure;
    if (code !== 0) throw new Error(`the emulator ended with ${code}: ${complaints}`);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
    lines.close();
  }
}
