// Builds a package that is used outside this project: one file of JavaScript with the other workspaces in it, and declarations
// that need nothing but the package's own dependencies.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";

/** Builds `directory` into its dist/. Throws when that fails. */
export async function buildLibrary(root, directory) {
  const { dependencies = {} } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    entryPoints: [join(directory, "src/index.ts")],
    outfile: join(directory, "dist/index.js"),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "linked",
    logLevel: "warning",
    // Whoever installs the package gets these with it.
    external: Object.keys(dependencies).flatMap((name) => [name, `${name}/*`]),
  });
  const foreign = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  if (foreign.length > 0) throw new Error(`${directory} would carry what it does not depend on: ${foreign.join(", ")}`);
  declare(root, directory);
}

function declare(root, directory) {
  const types = join(directory, "dist/types");
  rmSync(types, { recursive: true, force: true });
  const { status } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", join(directory, "tsconfig.json")], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`no declarations of ${directory}`);
  const reached = new Set();
  follow(root, types, join(types, relative(root, directory), "src/index.d.ts"), reached);
  for (const file of readdirSync(types, { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".d.ts") && !reached.has(join(types, file))) rmSync(join(types, file));
  }
}

/** Mends a declaration and all that it imports; the others are of no use to anybody. */
function follow(root, types, file, reached) {
  if (reached.has(file)) return;
  reached.add(file);
  const text = pointInside(root, types, file);
  for (const [, path] of text.matchAll(/(?:from |import\()"(\.[^"]*)\.js"/g)) {
    follow(root, types, join(dirname(file), `${path}.d.ts`), reached);
  }
}

/** A declaration's imports: of other workspaces by where their declarations are, of files by what Node would load. */
function pointInside(root, types, file) {
  const text = readFileSync(file, "utf8");
  const pointed = text
    .replace(
      /(from |import\()"(@berth\/[^"]+)"/g,
      (_, before, name) => `${before}"${declarationOf(root, types, file, name)}"`,
    )
    .replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"');
  if (pointed !== text) writeFileSync(file, pointed);
  return pointed;
}

/** Where the declarations of "@berth/NAME/PART" are, as seen from `file`. */
function declarationOf(root, types, file, specifier) {
  const [, name, ...parts] = specifier.split("/");
  const subpath = parts.length === 0 ? "." : `./${parts.join("/")}`;
  const { exports } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
  const target = exports[subpath] ?? exports["./*"]?.replace("*", parts.join("/"));
  if (target === undefined) throw new Error(`${specifier} is not exported`);
  const path = relative(dirname(file), join(types, "packages", name, target)).replace(/\.ts$/, ".js");
  return path.startsWith(".") ? path : `./${path}`;
}
