// Files of containers with the real client: docker cp in all its forms, export, diff, commit, sizes.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync, inflateRawSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Bed, eventually, openBed } from "../../src/index.ts";

let bed: Bed;
let busybox: string;
let work: string;

beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.pull("busybox");
  work = mkdtempSync(join(tmpdir(), "berth-files-"));
}, 300_000);

afterAll(async () => {
  await bed?.close();
  if (work !== undefined) rmSync(work, { recursive: true, force: true });
}, 120_000);

const at = (...names: string[]) => join(work, ...names);
const setUp =
  "mkdir -p /d/sub; echo one >/d/one; echo two >/d/sub/two; ln -s /d /link; ln -s one /d/relative; echo f >/file";
const cp = (from: string, to: string, ...flags: string[]) => bed.docker.run(["cp", ...flags, from, to]);

interface State {
  name: string;
  /** Makes one in this state and gives its id. */
  make: (...options: string[]) => Promise<string>;
}

const states: State[] = [
  {
    name: "created",
    make: async (...options) => (await bed.docker.must(["create", ...options, busybox, "true"])).trim(),
  },
  {
    name: "stopped",
    make: async (...options) => {
      const id = (await bed.docker.must(["create", ...options, busybox, "sh", "-c", setUp])).trim();
      await bed.docker.must(["start", "-a", id]);
      return id;
    },
  },
  {
    name: "running",
    make: async (...options) => {
      const script = `${setUp}; touch /ready; exec sleep 1000`;
      const id = (await bed.docker.must(["run", "-d", ...options, busybox, "sh", "-c", script])).trim();
      await eventually("its files", async () => (await cp(`${id}:/ready`, "-")).code === 0 || undefined);
      return id;
    },
  },
];

beforeEach(() => {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(at("src/inner"), { recursive: true });
  writeFileSync(at("src/a"), "a");
  writeFileSync(at("src/inner/b"), "b");
  writeFileSync(at("plain"), "plain");
});

describe.each(states.slice(1))("docker cp out of a $name container", ({ make }) => {
  // The rules are those of `docker cp --help`: SRC a file or a directory (or its content), DEST missing, a file or a directory.
  it("copies files and directories to wherever they are to go", async () => {
    const id = await make();
    const good = async (from: string, to: string, ...flags: string[]) =>
      expect(await cp(`${id}:${from}`, to, ...flags)).toMatchObject({ code: 0 });
    await good("/file", at("new-file"));
    expect(readFileSync(at("new-file"), "utf8")).toBe("f\n");
    expect(await cp(`${id}:/file`, `${at("missing")}/`)).toMatchObject({ code: 1 });
    await good("/file", at("plain"));
    expect(readFileSync(at("plain"), "utf8")).toBe("f\n");
    await good("/file", at("src"));
    expect(readFileSync(at("src/file"), "utf8")).toBe("f\n");
    await good("/d", at("new-dir"));
    expect(readdirSync(at("new-dir"))).toEqual(["one", "relative", "sub"]);
    const refused = await cp(`${id}:/d`, at("plain"));
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain("cannot copy directory");
    await good("/d", at("src"));
    expect(readFileSync(at("src/d/sub/two"), "utf8")).toBe("two\n");
    await good("/d/.", at("src"));
    expect(readFileSync(at("src/sub/two"), "utf8")).toBe("two\n");
    await good("/link", at("as-link"));
    expect(readlinkSync(at("as-link"))).toBe("/d");
    await good("/link", at("followed"), "-L");
    expect(readdirSync(at("followed"))).toEqual(["one", "relative", "sub"]);
    await bed.docker.must(["rm", "-f", id]);
  });

  it("says what is not there", async () => {
    const id = await make();
    const missing = await cp(`${id}:/nothing`, at("x"));
    expect(missing.stderr).toContain(`Could not find the file /nothing in container ${id}`);
    const below = await cp(`${id}:/file/`, at("x"));
    expect(below.stderr).toContain("not a directory");
    await bed.docker.must(["rm", "-f", id]);
  });
});

describe.each(states)("docker cp into a $name container", ({ make }) => {
  it("copies files and directories, and keeps its rules", async () => {
    const id = await make();
    const good = async (from: string, to: string) =>
      expect(await cp(from, `${id}:${to}`)).toMatchObject({ code: 0, stderr: expect.not.stringContaining("rror") });
    const text = async (path: string) =>
      execFileSync("tar", ["xOf", "-"], { input: (await bed.api.call("GET", archive(id, path))).bytes }).toString();
    await good(at("plain"), "/new");
    expect(await text("/new")).toBe("plain");
    await good(at("src"), "/fresh");
    expect(await text("/fresh/inner/b")).toBe("b");
    await good(at("src"), "/fresh");
    expect(await text("/fresh/src/a")).toBe("a");
    await good(`${at("src")}/.`, "/etc");
    expect(await text("/etc/inner/b")).toBe("b");
    const refused = await cp(at("src"), `${id}:/new`);
    expect(refused).toMatchObject({ code: 1 });
    expect((await cp(at("plain"), `${id}:/missing/x`)).stderr).toContain(
      "Could not find the file /missing in container",
    );
    expect((await cp(at("plain"), `${id}:/missing/`)).code).toBe(1);
    const overDirectory = await cp(at("src"), `${id}:/etc/passwd`);
    expect(overDirectory.code).toBe(1);
    await bed.docker.must(["rm", "-f", id]);
  });

  it("reaches volumes and binds, and refuses what is read-only", async () => {
    mkdirSync(at("rw"));
    mkdirSync(at("ro"));
    const id = await make("-v", `${at("rw")}:/rw`, "-v", `${at("ro")}:/ro:ro`, "-v", "/volume");
    expect((await cp(at("plain"), `${id}:/rw`)).code).toBe(0);
    expect(readFileSync(at("rw/plain"), "utf8")).toBe("plain");
    expect((await cp(at("plain"), `${id}:/volume`)).code).toBe(0);
    expect((await cp(`${id}:/volume/plain`, "-")).stdout).toContain("plain");
    const refused = await cp(at("plain"), `${id}:/ro`);
    expect(refused.stderr).toContain("mounted volume is marked read-only");
    expect(readdirSync(at("ro"))).toEqual([]);
    await bed.docker.must(["rm", "-fv", id]);
  });
});

const archive = (id: string, path: string, more = "") =>
  `/containers/${id}/archive?path=${encodeURIComponent(path)}${more}`;

/** Names of the sockets at which connections are waited for. */
const inboxes = () => readdirSync(join(dirname(bed.docker.socket), "m")).filter((name) => name.startsWith("in-"));

/** Writes `parts` as they are; then, once something has come back, `more`. Gives all that comes until the server closes. */
function talk(parts: readonly (string | Buffer)[], more?: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(bed.docker.socket);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      if (text === "" && more !== undefined) socket.write(more);
      text += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(text));
    socket.once("end", () => socket.end());
    for (const part of parts) socket.write(part);
  });
}

function put(path: string, body: Buffer): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath: bed.docker.socket, method: "PUT", path, headers: { "content-type": "application/x-tar" } },
      (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        answer.once("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    call.once("error", reject);
    call.end(body);
  });
}

describe("the archive calls", () => {
  it("describe a path in a header, with Go's mode bits", async () => {
    const id = (await bed.docker.must(["create", busybox, "true"])).trim();
    const stat = async (path: string) => {
      const { status, headers } = await bed.api.call("HEAD", archive(id, path));
      const text = Buffer.from(String(headers["x-docker-container-path-stat"] ?? ""), "base64").toString();
      return { status, ...(text === "" ? {} : (JSON.parse(text) as object)) };
    };
    expect(await stat("/")).toMatchObject({ status: 200, name: "/", mode: 2 ** 31 + 0o755, linkTarget: "" });
    expect(await stat("/bin/sh")).toMatchObject({ name: "sh", mode: 2 ** 27 + 0o777, linkTarget: "/bin/busybox" });
    expect(await stat("/nothing")).toEqual({ status: 404 });
    expect(await stat("/bin/busybox/")).toEqual({ status: 500 });
    expect((await bed.api.call("HEAD", `/containers/${id}/archive`)).status).toBe(400);
    await bed.docker.must(["rm", id]);
  });

  it("refuse bad archives in Docker's words, and leave nothing hanging", async () => {
    const id = (await bed.docker.must(["create", "--name", "bad", busybox, "true"])).trim();
    const good = execFileSync("tar", ["cf", "-", "-C", at("src"), "."]);
    const cases: [string, Buffer, number, string][] = [
      ["/", Buffer.alloc(2048, 9), 500, "archive/tar: invalid tar header"],
      ["/", good.subarray(0, 1800), 500, "unexpected EOF"],
      ["/etc/passwd", good, 400, "extraction point is not a directory"],
      ["/missing", good, 404, "Could not find the file /missing in container bad"],
      ["/etc/passwd/x", good, 500, "not a directory"],
    ];
    for (const [path, body, status, message] of cases) {
      const answer = await put(archive("bad", path), body);
      expect([answer.status, (JSON.parse(answer.text) as { message: string }).message]).toEqual([status, message]);
    }
    // A client that goes away half-way: the container can be started right after.
    const socket = connect(bed.docker.socket);
    socket.write(`PUT ${archive(id, "/")} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`);
    socket.write(good.subarray(0, 1024));
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.destroy();
    await bed.docker.must(["start", "-a", id], { timeoutMs: 20_000 });
    await bed.docker.must(["rm", id]);
  });

  it("take large archives from the client's own connection, in whatever shape HTTP has for them", async () => {
    const id = (await bed.docker.must(["create", busybox, "true"])).trim();
    const content = randomBytes(5_000_000);
    writeFileSync(at("large"), content);
    const tar = execFileSync("tar", ["cf", "-", "-C", work, "large"], { maxBuffer: 2 ** 24 });
    const head = (more: string) => `PUT ${archive(id, "/")} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
    const chunk = (bytes: Buffer, extension = "") =>
      Buffer.concat([Buffer.from(`${bytes.length.toString(16)}${extension}\r\n`), bytes, Buffer.from("\r\n")]);
    const ping = "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const whole = [chunk(tar.subarray(0, 777)), chunk(tar.subarray(777), ";a=b")];
    const good = [
      [head("Transfer-Encoding: chunked\r\n"), ...whole, "0\r\nX-Trailer: t\r\n\r\n"],
      [head(`Content-Length: ${tar.length}\r\n`), tar],
      [head("Transfer-Encoding: chunked\r\n"), chunk(gzipSync(tar)), "0\r\n\r\n"],
    ];
    for (const parts of good) {
      // The connection carries the next request, if that waits for the answer.
      expect(await talk(parts, ping)).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nHTTP\/1\.1 200 OK\r\n.*\r\n\r\nOK$/s);
      const { bytes } = await bed.api.call("GET", archive(id, "/large"));
      expect(execFileSync("tar", ["xOf", "-"], { input: bytes, maxBuffer: 2 ** 24 }).equals(content)).toBe(true);
    }
    const chunked = head("Transfer-Encoding: chunked\r\n");
    const bad: [(string | Buffer)[], string, string][] = [
      [[chunked, chunk(tar.subarray(0, 2048)), "zzz\r\n"], "500", "invalid byte in chunk length"],
      [[chunked, chunk(Buffer.alloc(3_000_000, 9)), "0\r\n\r\n"], "500", "archive/tar: invalid tar header"],
      [[chunked, chunk(tar.subarray(0, 3_000_000)), "0\r\n\r\n"], "500", "unexpected EOF"],
      [[chunked.replace("path=%2F", "path=%2Fnone"), ...whole, "0\r\n\r\n"], "404", "Could not find the file /none in"],
      [[chunked.replace(id, "nobody"), ...whole, "0\r\n\r\n"], "404", "No such container: nobody"],
    ];
    for (const [parts, status, message] of bad) {
      const answer = await talk(parts);
      expect(answer.slice(9, 12)).toBe(status);
      expect(answer).toContain(message);
    }
    // A client that goes away half-way, in a chunk and between two: the container can be started right after, and no socket is left.
    for (const cut of [1_000_000, 2_000_000]) {
      const socket = connect(bed.docker.socket);
      socket.write(chunked);
      await new Promise((resolve) => socket.write(chunk(tar.subarray(0, 2_000_000)).subarray(0, cut + 8), resolve));
      socket.destroy();
    }
    await bed.docker.must(["start", "-a", id], { timeoutMs: 20_000 });
    expect(inboxes()).toEqual([]);
    await bed.docker.must(["rm", id]);
  });

  it("copy large files and many small ones both ways, bit by bit", async () => {
    const id = (await bed.docker.must(["run", "-d", busybox, "sleep", "1000"])).trim();
    mkdirSync(at("many"));
    for (let i = 0; i < 500; i++) writeFileSync(at("many", `f${i}`), randomBytes(i * 7));
    writeFileSync(at("many/large"), randomBytes(20_000_000));
    await bed.docker.must(["cp", "-q", at("many"), `${id}:/in`]);
    await bed.docker.must(["cp", "-q", `${id}:/in`, at("out")]);
    execFileSync("diff", ["-r", at("many"), at("out")]);
    // A reader that stops half-way leaves nothing behind.
    const leaving = request({ socketPath: bed.docker.socket, path: archive(id, "/in") });
    leaving.on("error", () => {});
    leaving.end();
    const [answer] = (await once(leaving, "response")) as [IncomingMessage];
    await once(answer, "data");
    leaving.destroy();
    await eventually("the end of the copy", async () => inboxes().length === 0 || undefined);
    await bed.docker.must(["rm", "-f", id]);
  });

  it("are compressed for whom wants it, as Docker does", async () => {
    const id = (await bed.docker.must(["create", busybox, "true"])).trim();
    const plain = (await bed.api.call("GET", archive(id, "/bin"))).bytes;
    for (const [coding, decode] of [
      ["gzip", gunzipSync],
      ["deflate", inflateRawSync],
    ] as const) {
      const call = request({
        socketPath: bed.docker.socket,
        path: archive(id, "/bin"),
        headers: { "accept-encoding": coding },
      });
      call.end();
      const [answer] = (await once(call, "response")) as [IncomingMessage];
      expect(answer.headers["content-encoding"]).toBe(coding);
      const parts: Buffer[] = [];
      for await (const part of answer) parts.push(part as Buffer);
      expect(decode(Buffer.concat(parts)).equals(plain)).toBe(true);
    }
    await bed.docker.must(["rm", id]);
  });

  it("give copies to the container's user with -a", async () => {
    const id = (await bed.docker.must(["create", "--user", "33:44", busybox, "true"])).trim();
    const body = execFileSync("tar", ["cf", "-", "-C", work, "--owner=7", "--group=8", "plain"]);
    await put(archive(id, "/", "&copyUIDGID=1"), body);
    const { bytes } = await bed.api.call("GET", archive(id, "/plain"));
    expect(execFileSync("tar", ["tvf", "-"], { input: bytes }).toString()).toContain("33/44");
    await bed.docker.must(["rm", id]);
  });
});

describe("export, diff, commit, sizes", () => {
  it("export the root file system without what is mounted", async () => {
    const [, stopped, running] = states;
    for (const state of [stopped, running]) {
      const id = (await state?.make("-v", "/volume")) ?? "";
      await cp(at("plain"), `${id}:/volume`);
      const mark = `berth export ${id}`;
      writeFileSync("/dev/kmsg", mark);
      await bed.docker.must(["export", "-o", at("export.tar"), id]);
      // It warns of a second mount of directories that are being written.
      const kernel = execFileSync("dmesg", { maxBuffer: 2 ** 26 }).toString();
      expect(kernel.slice(kernel.lastIndexOf(mark))).not.toMatch(/overlayfs: .*in-use/);
      const names = execFileSync("tar", ["tf", at("export.tar")])
        .toString()
        .split("\n");
      expect(names).toEqual(expect.arrayContaining(["bin/busybox", "d/sub/two", "volume/", "proc/"]));
      expect(names).not.toContain("volume/plain");
      expect(names.some((name) => name.startsWith("proc/") && name !== "proc/")).toBe(false);
      await bed.docker.must(["rm", "-fv", id]);
    }
  });

  it("list what changed", async () => {
    const script = "echo x >/etc/passwd; mkdir /new; touch /new/f; rm /etc/group; exec sleep 1000";
    const id = (await bed.docker.must(["run", "-d", busybox, "sh", "-c", script])).trim();
    const wanted = ["C /etc", "D /etc/group", "C /etc/passwd", "A /new", "A /new/f"];
    await eventually("the changes", async () => {
      const lines = (await bed.docker.must(["diff", id])).split("\n").filter(Boolean);
      return JSON.stringify(lines) === JSON.stringify(wanted) || undefined;
    });
    await bed.docker.must(["rm", "-f", id]);
    const untouched = (await bed.docker.must(["create", busybox, "true"])).trim();
    expect(await bed.docker.must(["diff", untouched])).toBe("");
    await bed.docker.must(["start", "-a", untouched]);
    expect(await bed.docker.must(["diff", untouched])).toBe("");
    await bed.docker.must(["rm", untouched]);
  });

  it("make images that run, with what was changed and configured", async () => {
    const script = "echo mine >/mine; rm /etc/group; mkdir -p /deep/er; exec sleep 1000";
    const id = (
      await bed.docker.must(["run", "-d", "-e", "A=1", "--label", "l=1", busybox, "sh", "-c", script])
    ).trim();
    await eventually("its files", async () => (await cp(`${id}:/deep/er`, "-")).code === 0 || undefined);
    const changes = ["ENV B=2", 'CMD ["cat","/mine"]', "WORKDIR /deep", "EXPOSE 80", "LABEL m=2"].flatMap((text) => [
      "-c",
      text,
    ]);
    const image = (await bed.docker.must(["commit", "-a", "me", "-m", "why", ...changes, id, "made:one"])).trim();
    expect(await bed.docker.must(["run", "--rm", "made:one"])).toBe("mine\n");
    expect(await bed.docker.must(["run", "--rm", "made:one", "sh", "-c", "ls /etc; pwd; echo $A$B"])).not.toContain(
      "group",
    );
    const [inspected] = JSON.parse(await bed.docker.must(["image", "inspect", "made:one"])) as [
      Record<string, unknown>,
    ];
    const below = (await bed.docker.must(["image", "inspect", "-f", "{{.Id}}", busybox])).trim();
    expect(inspected).toMatchObject({ Id: image, Parent: below, Author: "me", Comment: "why", RepoTags: ["made:one"] });
    expect(inspected["Config"]).toMatchObject({
      Cmd: ["cat", "/mine"],
      Env: expect.arrayContaining(["A=1", "B=2"]),
      WorkingDir: "/deep",
      ExposedPorts: { "80/tcp": {} },
      Labels: { l: "1", m: "2" },
    });
    expect(await bed.docker.must(["inspect", "-f", "{{.State.Paused}}", id])).toBe("false\n");
    const history = await bed.docker.must([
      "history",
      "--format",
      "{{.CreatedBy}}|{{.Comment}}",
      "--no-trunc",
      "made:one",
    ]);
    expect(history.split("\n")[0]).toBe(`sh -c ${script}|why`);
    // Saved, removed and loaded again it is the same.
    await bed.docker.must(["save", "-o", at("made.tar"), "made:one"]);
    await bed.docker.must(["rmi", "made:one"]);
    await bed.docker.must(["load", "-i", at("made.tar")]);
    expect(await bed.docker.must(["run", "--rm", "made:one"])).toBe("mine\n");
    await bed.docker.must(["rm", "-f", id]);
    await bed.docker.must(["rmi", "made:one"]);
  });

  it("refuse bad changes before anything is made", async () => {
    const id = (await bed.docker.must(["create", busybox, "true"])).trim();
    const before = await bed.docker.must(["images", "-aq"]);
    for (const [change, message] of [
      ["RUN ls", "RUN is not a valid change command"],
      ["ENV", "ENV requires at least one argument"],
      ["EXPOSE abc", "Invalid containerPort: abc"],
      ["HEALTHCHECK --interval=x CMD true", 'time: invalid duration "x"'],
    ] as const) {
      expect((await bed.docker.run(["commit", "-c", change, id])).stderr).toContain(message);
    }
    expect((await bed.docker.run(["commit", id, "UPPER"])).code).not.toBe(0);
    expect(await bed.docker.must(["images", "-aq"])).toBe(before);
    await bed.docker.must(["rm", id]);
  });

  it("tell the size of what a container wrote", async () => {
    const id = (
      await bed.docker.must(["create", busybox, "sh", "-c", "head -c 100000 /dev/zero >/z; ln /z /y; ln -s 12345 /l"])
    ).trim();
    await bed.docker.must(["start", "-a", id]);
    const [inspected] = JSON.parse(await bed.docker.must(["inspect", "-s", id])) as [
      { SizeRw: number; SizeRootFs: number },
    ];
    expect(inspected.SizeRw).toBe(100_005);
    expect(inspected.SizeRootFs).toBeGreaterThan(1_000_000);
    expect(await bed.docker.must(["ps", "-as", "--format", "{{.Size}}"])).toContain("100kB (virtual");
    await bed.docker.must(["rm", id]);
  });
});

it("keeps links and hostile names inside", async () => {
  const script = "ln -s / /root-link; mkdir /t; ln -s ../../../../../../.. /t/up; exec sleep 1000";
  const id = (await bed.docker.must(["run", "-d", busybox, "sh", "-c", script])).trim();
  await eventually("its links", async () => (await cp(`${id}:/t/up`, "-")).code === 0 || undefined);
  const marker = `berth-escape-${process.pid}`;
  writeFileSync(at(marker), "x");
  await cp(at(marker), `${id}:/t/up/`);
  await cp(at(marker), `${id}:/root-link/`);
  expect(existsSync(`/${marker}`)).toBe(false);
  expect((await cp(`${id}:/${marker}`, at("back"))).code).toBe(0);
  symlinkSync("/etc", at("src/out"));
  expect((await cp(at("src"), `${id}:/linked`)).code).toBe(0);
  expect(lstatSync(at("src/out")).isSymbolicLink()).toBe(true);
  await bed.docker.must(["rm", "-f", id]);
});
