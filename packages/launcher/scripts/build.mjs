// Bundles every service, the launcher, the CLI and the client library into one file each: a process starts in a third of the time and needs
// a third of the memory when it loads one file instead of a thousand.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { buildLibrary } from "./library.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

const entries = [
  ...readdirSync(join(root, "services")).map((name) => join(root, "services", name)),
  ...["launcher", "identity", "bus", "cli"].map((name) => join(root, "packages", name)),
].filter((directory) => existsSync(join(directory, "src/main.ts")));
/** Packages for others to use. */
const libraries = [join(root, "packages/client")];

// Names as arguments build these alone. All are tried, whatever becomes of the others.
const wanted = process.argv.slice(2);
const chosen = [...entries, ...libraries].filter(
  (directory) => wanted.length === 0 || wanted.includes(basename(directory)),
);
const results = await Promise.allSettled(
  chosen.map((directory) => (libraries.includes(directory) ? buildLibrary(root, directory) : bundle(directory))),
);
const failed = chosen
  .filter((_, index) => results[index].status === "rejected")
  .map((directory) => basename(directory));
if (failed.length > 0) {
  for (const { reason } of results) if (reason !== undefined) console.error(String(reason));
  console.error(`not built: ${failed.join(", ")}`);
  process.exitCode = 1;
}

async function bundle(directory) {
  const outfile = join(directory, "dist/main.js");
  await build({
    entryPoints: [join(directory, "src/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    sourcemap: "linked",
    // V8 keeps a program's text several times over, so every byte of it counts; names in stack traces and profiles stay
    // what they are in the source.
    minifyWhitespace: true,
    minifySyntax: true,
    minifyIdentifiers: false,
    legalComments: "none",
    // For gRPC's channelz and ORCA, which are off: a protobuf compiler that nothing calls.
    alias: { "@grpc/proto-loader": join(root, "packages/launcher/scripts/empty.cjs") },
    logLevel: "warning",
    // Level loads a native addon that it finds beside its own files.
    external: ["*.node", "level", "classic-level"],
    // Bundled CommonJS asks for Node's own modules by require().
    banner: {
      js: 'import { createRequire as berthCreateRequire } from "node:module";\nconst require = berthCreateRequire(import.meta.url);',
    },
    plugins: [builtinsByRequire(), sourceLocations(outfile)],
  });
  writeFileSync(outfile, escapeNonAscii(readFileSync(outfile, "utf8")));
}

/** One character beyond Latin-1 anywhere makes V8 keep the whole text at two bytes a character. */
function escapeNonAscii(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII begins with them
  return text.replace(/[^\x00-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Node's own modules by require(), never by import: an import statement reads every property of the module it names,
 * also those that load something when first read. Of "node:http" that is a whole WebSocket client, five megabytes.
 */
function builtinsByRequire() {
  return {
    name: "builtins-by-require",
    setup(builder) {
      const names = new Set(builtinModules);
      builder.onResolve({ filter: /^(node:)?[a-z_0-9/]+$/, namespace: "file" }, ({ path, kind }) => {
        const name = path.replace(/^node:/, "");
        return kind === "import-statement" && names.has(name) ? { path: name, namespace: "builtin" } : undefined;
      });
      builder.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
        contents: `module.exports = require("node:${path}");`,
        loader: "js",
      }));
    },
  };
}

/** In a bundle import.meta would speak of the bundle; files that sources find beside themselves are still there. */
function sourceLocations(outfile) {
  return {
    name: "source-locations",
    setup(builder) {
      builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, "utf8");
        if (!text.includes("import.meta.")) return undefined;
        const source = `new URL(${JSON.stringify(relative(dirname(outfile), path))}, import.meta.url)`;
        const replacements = {
          dirname: `berthFileURLToPath(new URL(".", ${source}))`,
          filename: `berthFileURLToPath(${source})`,
          url: `${source}.href`,
        };
        const contents = text.replace(/import\.meta\.(dirname|filename|url)\b/g, (_, key) => replacements[key]);
        // On the first line: what follows keeps its line numbers.
        const helper = 'import { fileURLToPath as berthFileURLToPath } from "node:url"; ';
        return { contents: contents.includes("berthFileURLToPath(") ? helper + contents : contents, loader: "ts" };
      });
    },
  };
}
