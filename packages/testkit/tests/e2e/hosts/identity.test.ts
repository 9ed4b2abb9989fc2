// Who is let in between hosts, and who is not: tokens, certificates, names, clocks, revocation, renewal.
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CertificateAuthority, createRequest, decodeToken, encodeToken } from "@berth/identity";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type HostEngineOptions, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let third: Host;
let busybox: string;

/** Certificates are renewed every 14 s: nothing may notice. */
const ttl = { BERTH_CERTIFICATE_TTL: "20s" };
const runs: HostEngineOptions = { services: ["snapshotter", "supervisor"] };

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, second, third] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
}, 120_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

/** What a host that is not let in says. */
async function refusal(host: Host, options: HostEngineOptions): Promise<string> {
  try {
    await host.start({ ...runs, ...options });
  } catch (error) {
    await host.stop();
    return (error as Error).message;
  }
  await host.stop();
  throw new Error("it was let in");
}

const log = (host: Host, service: string): string => readFileSync(join(host.root, "logs", `${service}.log`), "utf8");

describe("an engine on its own", () => {
  it("says how to open it when a token is asked for", async () => {
    await first.start({ env: ttl });
    const { code, stderr } = await first.berth(["node", "token"]);
    expect(code).toBe(1);
    expect(stderr).toContain("not open to other hosts");
    expect(stderr).toContain("npm start -- --advertise ADDRESS");
    await first.docker.must(["pull", "-q", busybox]);
    await first.docker.must(["run", "-d", "--name", "older", busybox, "sleep", "600"]);
  });

  it("keeps its containers, names and events when it is opened", async () => {
    await first.stop();
    await first.start({ args: ["--advertise", first.address], env: ttl });
    expect(await first.docker.must(["ps", "--format", "{{.Names}}"])).toBe("older\n");
    const again = await first.docker.run(["create", "--name", "older", busybox, "true"]);
    expect(again.stderr).toContain('The container name "/older" is already in use');
    const events = "events --since 10m --until 0s --filter event=start --format {{.Actor.Attributes.name}}";
    expect(await first.docker.must(events.split(" "))).toBe("older\n");
    await first.docker.must(["rm", "-f", "older"]);
    // From here on containers are the other hosts'.
    await first.stop();
    await first.start({ env: ttl, services: ["image-store", "registry-proxy", "gateway"] });
  });
});

describe("a token", () => {
  it.each([
    ["nonsense", "garbage", "this is not a join token"],
    ["a huge one", `BERTH-1-${"A".repeat(100_000)}`, "this is not a join token (it has 100008 characters)"],
    ["half of one", "HALF", "this is not a join token (a part of it is missing or changed)"],
  ])("is refused: %s", async (_, text, message) => {
    const token = text === "HALF" ? (await first.token()).slice(0, -40) : text;
    const said = await refusal(third, { args: ["--join", token] });
    expect(said).toContain(message);
    expect(said.length).toBeLessThan(1_000);
  });

  it("with another secret, or of another engine, is refused, and told in the authority's log", async () => {
    const parts = decodeToken(await first.token());
    const guessed = encodeToken({ ...parts, secret: parts.secret.split("").reverse().join("") });
    expect(await refusal(third, { args: ["--join", guessed] })).toContain("the token is not known here");
    const elsewhere = encodeToken({ ...parts, fingerprint: parts.fingerprint.split("").reverse().join("") });
    expect(await refusal(third, { args: ["--join", elsewhere] })).toContain("is not the engine that the token is for");
    expect(log(first, "authority")).toContain(`"from":"${third.address}"`);
    expect(log(first, "authority")).not.toContain(parts.secret);
  });

  it("is good for its time and its uses alone, and can be revoked", async () => {
    const short = await first.token(["--ttl", "1s"]);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(await refusal(third, { args: ["--join", short] })).toContain("the token has expired");
    const revoked = await first.token();
    const { id } = decodeToken(revoked);
    expect((await first.berth(["node", "token", "ls", "-q"])).stdout).toContain(id);
    expect((await first.berth(["node", "token", "revoke", id])).stdout).toBe(`${id}\n`);
    expect(await refusal(third, { args: ["--join", revoked] })).toContain("the token is not known here");
    expect((await first.berth(["node", "token", "revoke", id])).stderr).toContain(`no such token: ${id}`);
  });

  it("lets one host in, and no second one", async () => {
    const token = await first.token();
    await second.start({ ...runs, args: ["--join", token] });
    expect(await refusal(third, { args: ["--join", token] })).toContain("the token has been used already (by host2)");
  });

  it("does not let a host run more than it is for", async () => {
    const token = await first.token(["--roles", "gateway"]);
    const said = await refusal(third, { args: ["--join", token] });
    expect(said).toContain("the token does not allow snapshotter, supervisor, but gateway");
    const stores = await first.token(["--roles", "image-store"]);
    expect(await refusal(third, { args: ["--join", stores], services: ["image-store"] })).toContain(
      'the site "default" has its image store on host1',
    );
  });
});

describe("a host", () => {
  it("of a name that is taken is refused", async () => {
    const said = await refusal(third, { args: ["--join", await first.token()], env: { BERTH_NODE_NAME: "host2" } });
    expect(said).toContain("a node named host2 is there already");
  });

  it.each([
    [10.5, /this host's clock is 10 min [23]\d s ahead of the engine's; set it right/],
    [-10.5, /this host's clock is 10 min [23]\d s behind the engine's; set it right/],
  ])("whose clock is off by %d minutes is told so", async (minutes, words) => {
    const said = await refusal(third, { args: ["--join", await first.token()], env: clockOff(minutes) });
    expect(said).toMatch(words);
  });
});

/** The launcher hands its environment to the program that joins. */
function clockOff(minutes: number): NodeJS.ProcessEnv {
  const preload = join(hosts.work, `clock${minutes}.mjs`);
  writeFileSync(preload, `const now = Date.now; Date.now = () => now() + ${minutes * 60_000};`);
  return { NODE_OPTIONS: `--import=${preload}` };
}

describe("a call between hosts", () => {
  const script = join(import.meta.dirname, "../../../src/call-as.ts");
  const store = () => `tcp:${first.address}:7604`;

  /** Made on the third host, which has nothing of its own. */
  async function call(wish: object): Promise<{ reason: string; message?: string }> {
    const { stdout, stderr } = await third.run([process.execPath, script, JSON.stringify(wish)]);
    if (stdout === "") throw new Error(stderr);
    return JSON.parse(stdout);
  }
  const files = (host: Host, role: string) => ({
    identityCa: join(host.root, "identity/ca.pem"),
    identity: join(host.root, `identity/${role}.pem`),
  });

  /** Another authority, that says of its key what ours would. */
  async function forged(role: string): Promise<object> {
    const directory = join(hosts.work, "other-authority");
    const authority = await CertificateAuthority.open(directory);
    const { keyPem, requestPem } = await createRequest("host1");
    const { cluster, nodeId } = JSON.parse(readFileSync(join(first.root, "identity/node.json"), "utf8"));
    const issued = await authority.issue(requestPem, { cluster, nodeId, role }, "host1", 3_600_000);
    const identity = join(directory, `${role}.pem`);
    writeFileSync(identity, keyPem + issued.certificatePem);
    return { identityCa: join(first.root, "identity/ca.pem"), identity };
  }

  it("is for a gateway's certificate, and lets nodes do what is theirs", async () => {
    expect(await call({ address: store(), method: "createLease", ...files(first, "gateway") })).toEqual({
      reason: "OK",
    });
    expect(await call({ address: store(), method: "listImages", ...files(second, "snapshotter") })).toEqual({
      reason: "OK",
    });
  });

  it("with a node's certificate is refused where only a gateway may, and logged with who and what", async () => {
    const refused = await call({ address: store(), method: "createLease", ...files(second, "supervisor") });
    expect(refused).toEqual({
      reason: "FORBIDDEN",
      message: "the supervisor of node host2 may not call berth.images.v1.ImageStore/CreateLease",
    });
    const logged = lastRecord(first, "image-store");
    expect(logged).toMatchObject({ role: "supervisor", node: "host2", call: "berth.images.v1.ImageStore/CreateLease" });
    expect(logged["address"]).toContain(third.address);
    const sideways = { address: `tcp:${second.address}:7606`, method: "stat" };
    expect(await call({ ...sideways, ...files(first, "image-store") })).toMatchObject({ reason: "FORBIDDEN" });
  });

  it("without a certificate, with another authority's, or with one that names nobody, is refused and logged", async () => {
    const identityCa = join(first.root, "identity/ca.pem");
    const strangers = [await forged("gateway"), { identityCa, identity: nobody(hosts.work) }];
    for (const stranger of strangers) {
      expect(await call({ address: store(), method: "listImages", ...stranger })).toMatchObject({
        reason: "UNAUTHENTICATED",
      });
      const logged = lastRecord(first, "image-store");
      expect(logged).toMatchObject({ call: "/berth.images.v1.ImageStore/ListImages", level: "warn" });
      expect(logged["address"]).toContain(third.address);
    }
    const bare = await third.run(["openssl", "s_client", "-connect", `${first.address}:7604`, "-alpn", "h2", "-brief"]);
    expect(bare.stderr).toContain("TLSv1.3");
    const plain = await third.run([
      "bash",
      "-c",
      `exec 3<>/dev/tcp/${first.address}/7604; echo 'PRI * HTTP/2.0' >&3; timeout 3 cat <&3 | wc -c`,
    ]);
    expect(Number(plain.stdout)).toBeLessThan(16);
  });

  it("does not reach a service that shows another's certificate", async () => {
    // The second host announces itself as what it is; a caller that expects another finds out.
    const wish = { address: `tcp:${second.address}:7606#image-store#${nodeIdOf(first)}`, method: "listImages" };
    expect(await call({ ...wish, ...files(first, "gateway") })).toMatchObject({ reason: "UNAVAILABLE" });
  });
});

describe("certificates", () => {
  it("are renewed on both hosts while a stream goes on, and nothing restarts", async () => {
    const certificates = () =>
      [identityOf(first, "nats"), identityOf(first, "gateway"), identityOf(second, "supervisor")].map(
        (file) => new X509Certificate(readFileSync(file)),
      );
    const pidsNow = () => [
      first.engine.pidOf("gateway"),
      first.engine.pidOf("nats"),
      second.engine.pidOf("supervisor"),
    ];
    const before = certificates();
    const pids = pidsNow();
    const name = "long";
    const counting = "i=0; while sleep 0.5; do i=$((i+1)); echo $i; done";
    await first.docker.must(["run", "-d", "--name", name, busybox, "sh", "-c", counting]);
    const following = first.docker.start(["logs", "-f", name]);
    let lines = "";
    following.stdout.on("data", (chunk: Buffer) => {
      lines += chunk.toString();
    });
    const renewed = () => certificates().every(({ serialNumber }, at) => serialNumber !== before[at]?.serialNumber);
    await eventually("all were renewed", () => renewed() || undefined, 40_000, 500);
    const lastGood = Math.max(...before.map(({ validTo }) => Date.parse(validTo)));
    await new Promise((resolve) => setTimeout(resolve, lastGood + 2_000 - Date.now()));
    expect(await first.docker.must(["exec", name, "echo", "still here"])).toBe("still here\n");
    expect(await first.docker.must(["ps", "--filter", `name=${name}`, "--format", "{{.Names}}"])).toBe(`${name}\n`);
    await first.docker.must(["rm", "-f", name]);
    const counted = lines.trim().split("\n").map(Number);
    expect(counted.length).toBeGreaterThan(20);
    expect(counted).toEqual(counted.map((_, index) => index + 1));
    expect(pidsNow()).toEqual(pids);
  }, 180_000);
});

describe("a host that has joined", () => {
  it("starts with the certificates that it has when the authority is out of reach, and has new ones when it is back", async () => {
    await second.stop();
    const rule = (word: string) => first.run(["nft", word, "table", "inet", "unreachable"]);
    await rule("add");
    await first.run(["nft", "add", "chain", "inet", "unreachable", "in", "{ type filter hook input priority 0; }"]);
    await first.run(["nft", "add", "rule", "inet", "unreachable", "in", "tcp", "dport", "7600", "reject"]);
    try {
      await second.start();
      expect(await first.docker.must(["run", "--rm", busybox, "echo", "there"])).toBe("there\n");
    } finally {
      await rule("delete");
    }
    const { serialNumber } = new X509Certificate(readFileSync(identityOf(second, "supervisor")));
    await eventually(
      "its certificates are new",
      () =>
        new X509Certificate(readFileSync(identityOf(second, "supervisor"))).serialNumber !== serialNumber || undefined,
      20_000,
      200,
    );
  }, 60_000);
});

describe("a node that is shut out", () => {
  it("is refused by every service at once, does not come back, and joins anew with a new token", async () => {
    const stolen = join(hosts.work, "stolen");
    cpSync(join(second.root, "identity"), stolen, { recursive: true });
    const files = { identityCa: join(stolen, "ca.pem"), identity: join(stolen, "snapshotter.pem") };
    const script = join(import.meta.dirname, "../../../src/call-as.ts");
    const wish = JSON.stringify({ address: `tcp:${first.address}:7604`, method: "listImages", ...files });
    const call = async () =>
      JSON.parse((await third.run([process.execPath, script, wish])).stdout) as { reason: string };
    expect(await call()).toEqual({ reason: "OK" });
    const said = log(second, "supervisor").length;
    const since = (length: number) => log(second, "supervisor").slice(length);
    expect((await first.berth(["node", "revoke", "host2"])).stdout).toBe("host2\n");
    await eventually(
      "its certificates are refused",
      async () => (await call()).reason === "UNAUTHENTICATED" || undefined,
      5_000,
    );
    await eventually("NATS shows it the door", () => since(said).includes("NATS is away") || undefined);
    await second.stop();
    expect(await refusal(second, {})).toContain("node host2");
    expect(await refusal(second, {})).toContain("was shut out of this engine at");
    await second.start({ ...runs, args: ["--join", await first.token()] });
    expect(await call()).toMatchObject({ reason: "UNAUTHENTICATED" });
    expect((await first.berth(["node", "revoke", "host1"])).stderr).toContain("can't be shut out of it");
  }, 120_000);
});

describe("a node that is removed", () => {
  it("can't come back with what it has", async () => {
    await third.start({ ...runs, args: ["--join", await first.token()] });
    await eventually(
      "it is listed",
      async () => (await first.berth(["node", "inspect", "host3"])).code === 0 || undefined,
    );
    await third.stop();
    await eventually("it is removed", async () => (await first.berth(["node", "rm", "host3"])).code === 0 || undefined);
    expect(await refusal(third, {})).toContain("node host3");
    await third.start({ ...runs, args: ["--join", await first.token()] });
  });
});

const identityOf = (host: Host, role: string): string => join(host.root, `identity/${role}.pem`);

const nodeIdOf = (host: Host): string => JSON.parse(readFileSync(join(host.root, "identity/node.json"), "utf8")).nodeId;

/** A certificate of nobody's, signed by itself. */
function nobody(directory: string): string {
  const file = join(directory, "nobody.pem");
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=nobody".split(" ");
  execFileSync("openssl", [...words, "-keyout", `${file}.key`, "-out", `${file}.crt`], { stdio: "ignore" });
  writeFileSync(file, readFileSync(`${file}.key`, "utf8") + readFileSync(`${file}.crt`, "utf8"));
  return file;
}

function lastRecord(host: Host, service: string): Record<string, unknown> {
  return JSON.parse(log(host, service).trim().split("\n").at(-1) ?? "{}");
}
