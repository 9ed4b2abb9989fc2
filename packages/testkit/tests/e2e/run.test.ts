// What a user types first: docker run in all its forms, against the whole engine with the real client.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, ended, eventually, openBed, run } from "../../src/index.ts";

let bed: Bed;
let busybox: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

const BYTES = 200_000_000;

describe("docker run", () => {
  it("runs a command and removes the container", async () => {
    expect(await bed.docker.must(["run", "--rm", busybox, "echo", "hi"])).toBe("hi\n");
    expect(await bed.docker.must(["ps", "-aq"])).toBe("");
  });

  it("keeps stdout and stderr apart", async () => {
    const result = await bed.docker.run(["run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2"]);
    expect(result).toMatchObject({ code: 0, stdout: "out\n", stderr: "err\n" });
  });

  it("gives a terminal", async () => {
    const child = bed.docker.terminal(["run", "--rm", "-it", busybox, "sh"]);
    let screen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      screen += chunk.toString();
    });
    await eventually("a prompt", () => screen.includes("#") || undefined);
    child.stdin.write("tty; until [ \"$(stty size)\" = '30 100' ]; do sleep 0.1; done; echo si''ze-is-right\n");
    await eventually("the terminal's name", () => screen.includes("/dev/pts/") || undefined);
    await eventually("its size", () => screen.includes("size-is-right") || undefined);
    child.stdin.write("exit 5\n");
    const [code] = await ended(child);
    expect(code).toBe(5);
  });

  it("pipes standard input through", async () => {
    expect(await bed.docker.must(["run", "--rm", "-i", busybox, "cat"], { input: "hi\n" })).toBe("hi\n");
  });

  it.each([
    { exit: 125, args: ["--memory", "1k", "IMAGE", "true"] },
    { exit: 126, args: ["IMAGE", "/etc/passwd"] },
    { exit: 127, args: ["IMAGE", "no-such-program"] },
    { exit: 127, args: ["IMAGE", "/no/such/program"] },
    { exit: 3, args: ["IMAGE", "sh", "-c", "exit 3"] },
  ])("exits with $exit: $args", async ({ exit, args }) => {
    const words = args.map((word) => (word === "IMAGE" ? busybox : word));
    const result = await bed.docker.run(["run", "--rm", "--name", "code", ...words]);
    expect(result.code, result.stderr).toBe(exit);
    expect(await bed.docker.must(["ps", "-aq", "-f", "name=code"])).toBe("");
  });

  it("exits with 137 when its container is killed", async () => {
    const child = bed.docker.start(["run", "--rm", "--name", "victim", busybox, "sleep", "100"]);
    child.stdin.end();
    await eventually(
      "it runs",
      async () => (await bed.docker.must(["ps", "-q", "-f", "name=victim"])) !== "" || undefined,
    );
    await bed.docker.must(["kill", "victim"]);
    expect((await ended(child))[0]).toBe(137);
  });

  it("exits with 143 when stopped by SIGTERM and 137 when it has to be killed", async () => {
    for (const [script, exit] of [
      ["trap 'exit 143' TERM; while :; do sleep 0.1; done", 143],
      ["trap '' TERM; while :; do sleep 0.1; done", 137],
    ] as const) {
      const id = (await bed.docker.must(["run", "-d", busybox, "sh", "-c", script])).trim();
      await bed.docker.must(["stop", "-t", "1", id]);
      expect(await bed.docker.must(["wait", id])).toBe(`${exit}\n`);
      await bed.docker.must(["rm", id]);
    }
  });

  it("has names, lists, follows, executes, stops, starts and removes", async () => {
    await bed.docker.must([
      "run",
      "-d",
      "--name",
      "loop",
      busybox,
      "sh",
      "-c",
      "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done",
    ]);
    const follow = bed.docker.start(["logs", "-f", "loop"]);
    let lines = "";
    follow.stdout.on("data", (chunk: Buffer) => {
      lines += chunk.toString();
    });
    await eventually("ten lines", () => lines.includes("line 9\n") || undefined);
    const screen = bed.docker.terminal(["exec", "-it", "loop", "sh", "-c", "tty; hostname"]);
    let shown = "";
    screen.stdout.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
    });
    expect((await ended(screen))[0]).toBe(0);
    expect(shown).toContain("/dev/pts/");
    expect(await bed.docker.must(["ps", "-f", "name=loop", "--format", "{{.Names}} {{.State}}"])).toBe(
      "loop running\n",
    );
    await bed.docker.must(["stop", "-t", "0", "loop"]);
    expect((await ended(follow))[0]).toBe(0);
    expect(await bed.docker.must(["ps", "-a", "-f", "name=loop", "--format", "{{.Names}} {{.State}}"])).toBe(
      "loop exited\n",
    );
    await bed.docker.must(["start", "loop"]);
    expect(await bed.docker.must(["inspect", "-f", "{{.State.Running}}", "loop"])).toBe("true\n");
    const refused = await bed.docker.run(["rm", "loop"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("container is running");
    await bed.docker.must(["rm", "-f", "loop"]);
    const taken = await bed.docker.run(["inspect", "loop"]);
    expect(taken.stderr).toContain("No such");
  });

  it("publishes a port to the host", async () => {
    await bed.docker.must([
      "run",
      "-d",
      "--name",
      "web",
      "-p",
      "8080:80",
      busybox,
      "sh",
      "-c",
      "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www",
    ]);
    const body = await eventually("an answer on port 8080", async () => {
      const got = await run([...bed.netns.enter, "busybox", "wget", "-qO-", "http://127.0.0.1:8080/index.html"]);
      return got.code === 0 ? got.stdout : undefined;
    });
    expect(body).toBe("hello\n");
    const second = await bed.docker.run(["run", "--rm", "-p", "8080:80", busybox, "true"]);
    expect(second.code).toBe(125);
    expect(second.stderr).toContain("port is already allocated");
    await bed.docker.must(["rm", "-f", "web"]);
  });

  it("enforces a memory limit", async () => {
    const script = "head -c 200m /dev/zero | tail | wc -c";
    const id = (
      await bed.docker.must([
        "run",
        "-d",
        "-m",
        "64m",
        "--memory-swap",
        "64m",
        busybox,
        "sh",
        "-c",
        `${script}; exec tail -c 200m /dev/zero`,
      ])
    ).trim();
    const code = Number(await bed.docker.must(["wait", id], { timeoutMs: 60_000 }));
    expect(code).toBe(137);
    expect(await bed.docker.must(["inspect", "-f", "{{.State.OOMKilled}} {{.HostConfig.Memory}}", id])).toBe(
      "true 67108864\n",
    );
    await bed.docker.must(["rm", id]);
  });

  it("carries 200 MB out unharmed", async () => {
    const child = bed.docker.start([
      "run",
      "--rm",
      busybox,
      "sh",
      "-c",
      `yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c ${BYTES}`,
    ]);
    child.stdin.end();
    child.stderr.resume();
    const hash = createHash("sha256");
    child.stdout.on("data", (chunk: Buffer) => hash.update(chunk));
    expect((await ended(child))[0]).toBe(0);
    expect(hash.digest("hex")).toBe(expected("0123456789abcdefghijklmnopqrstuvwxyz\n", BYTES));
  }, 120_000);

  it("carries 200 MB in unharmed", async () => {
    const child = bed.docker.start(["run", "--rm", "-i", busybox, "sha256sum"]);
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.stderr.resume();
    const unit = "the quick brown fox\n";
    const block = Buffer.from(unit.repeat(50_000));
    for (let sent = 0; sent < BYTES; sent += block.length)
      if (!child.stdin.write(block)) await once(child.stdin, "drain");
    child.stdin.end();
    expect((await ended(child))[0]).toBe(0);
    expect(text.split(" ")[0]).toBe(expected(unit, BYTES));
  }, 120_000);
});

/** sha256 of `unit` repeated to `bytes`. */
function expected(unit: string, bytes: number): string {
  const block = Buffer.from(unit.repeat(100_000));
  const hash = createHash("sha256");
  let left = bytes;
  for (; left >= block.length; left -= block.length) hash.update(block);
  return hash.update(block.subarray(0, left)).digest("hex");
}
