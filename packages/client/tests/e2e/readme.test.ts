// The package as others get it: packed, installed, type-checked and run, by what its README says.
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Bed, must, openBed } from "@berth/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";

const own = resolve(import.meta.dirname, "../..");
const project = resolve(own, "../..");
let bed: Bed;
let user: string;

beforeAll(async () => {
  bed = await openBed();
  user = await mkdtemp(join(bed.work, "user-"));
  await install();
}, 300_000);

afterAll(async () => {
  await rm(user, { recursive: true, force: true });
  await bed?.close();
}, 120_000);

/** As `npm install` of the packed package would, with its dependencies from this project. */
async function install(): Promise<void> {
  await must(["npm", "pack", "--ignore-scripts", "--pack-destination", user], { cwd: own, timeoutMs: 60_000 });
  const target = join(user, "node_modules/@berth/client");
  await mkdir(target, { recursive: true });
  await must(["tar", "-xzf", join(user, "berth-client-0.1.0.tgz"), "-C", target, "--strip-components=1"]);
  const { dependencies } = JSON.parse(await readFile(join(own, "package.json"), "utf8")) as { dependencies: object };
  for (const name of [...Object.keys(dependencies), "@types/node"]) {
    const link = join(user, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(project, "node_modules", name), link);
  }
  await writeFile(join(user, "package.json"), '{ "type": "module" }');
}

/** The README's blocks of a language. */
async function blocks(language: string): Promise<string[]> {
  const text = await readFile(join(own, "README.md"), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, block]) => block as string);
}

it("the README's example prints what the README says", async () => {
  const image = await bed.pull("busybox");
  const [example = ""] = await blocks("js");
  const [printed] = await blocks("text");
  await writeFile(join(user, "example.js"), example);
  const env = { ...process.env, BERTH_GATEWAY: `unix:${bed.engine.runDir}/gateway.sock`, IMAGE: image };
  expect(await must([process.execPath, "example.js"], { cwd: user, env, timeoutMs: 60_000 })).toBe(printed);
}, 120_000);

it("its types stand by themselves", async () => {
  await writeFile(
    join(user, "typed.ts"),
    `import { type BerthError, type Container, connectBerth, isBerthError } from "@berth/client";
    const berth = connectBerth(["unix:/a", "tcp:b:1"], { tls: { ca: "a", identity: "b" } });
    const found: Container = await berth.containers.inspect("x", { size: true });
    export const mode: string | undefined = found.spec?.hostConfig?.networkMode;
    for await (const event of berth.events.follow({ from: 3, types: ["container"] })) event.sequence.toFixed();
    // @ts-expect-error there is no such call
    berth.containers.nothing();
    // @ts-expect-error there is no such type of event
    berth.events.follow({ types: ["weather"] });
    export const reason = (error: unknown) => (isBerthError(error) ? (error satisfies BerthError).reason : undefined);
    `,
  );
  const strict = ["--strict", "--skipLibCheck", "false", "--noEmit", "--types", "node"];
  const tsc = join(project, "node_modules/.bin/tsc");
  await must([tsc, ...strict, "--target", "es2024", "--module", "nodenext", "typed.ts"], {
    cwd: user,
    timeoutMs: 60_000,
  });
}, 120_000);
