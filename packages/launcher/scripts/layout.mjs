// The layout's rules, each of which a reader may rely on (ARCHITECTURE.md, "Layout").
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const maxLines = 500;
const maxMainLines = 20;
const ignored = new Set(["node_modules", "dist", "build", "gen", ".git", ".cache", ".turbo", "coverage", "testdata"]);
const counted = /\.(ts|mjs|cpp|cc|c|h|hpp|proto)$/;

/** Every breach, as "path: what". */
export function layoutFaults(root) {
  return [...walk(root, "")].flatMap((path) => {
    const text = readFileSync(join(root, path), "utf8");
    return [...lengthFaults(path, text), ...(/\.(ts|mjs)$/.test(path) ? importFaults(path, text) : [])];
  });
}

function* walk(root, directory) {
  for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (ignored.has(entry.name)) continue;
    if (entry.isDirectory()) yield* walk(root, path);
    else if (counted.test(entry.name)) yield path;
  }
}

function lengthFaults(path, text) {
  const lines = text.split("\n").length - 1;
  if (lines > maxLines) return [`${path}: ${lines} lines, ${maxLines} at most`];
  if (/^services\/[^/]+\/src\/main\.ts$/.test(path) && lines > maxMainLines) {
    return [`${path}: ${lines} lines, a service's main has ${maxMainLines} at most`];
  }
  return [];
}

/** What a file imports: static, dynamic and type imports, and re-exports. */
function importsOf(text) {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*["']([^"']+)["']|(?:^|\n)\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;
  return [...text.matchAll(pattern)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic);
}

/** Names of the services' packages are those of their folders. */
const serviceNames = ["authority", "builder", "gateway", "image-store", "registry-proxy", "snapshotter", "supervisor"];

/** Each rule: where it holds, what it forbids there, and how to say so. */
const rules = [
  {
    holds: (path) => path.startsWith("packages/"),
    forbids: (target) => isService(target),
    says: "packages never import services",
  },
  {
    holds: (path) => path.startsWith("services/"),
    forbids: (target, path) => isService(target) && serviceOf(target) !== path.split("/")[1],
    says: "a service never imports another; it calls it",
  },
  {
    holds: (path) => !/^packages\/(api|rpc|client|testkit)\/|\/(rpc|tests)\//.test(path),
    forbids: (target) => target.startsWith("@berth/api") || target.includes("packages/api/"),
    says: "only rpc/ folders, packages/rpc and packages/client import @berth/api",
  },
  {
    holds: (path) => !/^packages\/store\/|^services\/[^/]+\/src\/store\//.test(path),
    forbids: (target) => target === "level" || target === "classic-level",
    says: "only store/ folders and packages/store import level",
  },
  {
    holds: (path) => !/^packages\/(bus|identity|launcher\/tests)\//.test(path),
    forbids: (target) => target.startsWith("@nats-io/"),
    says: "only packages/bus (packages/identity for keys and tokens, the launcher's tests for its server) imports NATS",
  },
  {
    holds: (path) => !/^packages\/rpc\/|\/(rpc|tests)\//.test(path),
    forbids: (target) => target.startsWith("nice-grpc") || target.startsWith("@grpc/"),
    says: "only rpc/ folders and packages/rpc import gRPC",
  },
  {
    holds: () => true,
    forbids: (target) => /^@berth\/[^/]+\/src\//.test(target),
    says: "no deep imports: use what the package exports",
  },
];

function isService(target) {
  return (
    target.includes("services/") ||
    serviceNames.some((name) => target === `@berth/${name}` || target.startsWith(`@berth/${name}/`))
  );
}

function serviceOf(target) {
  return /^@berth\/([^/]+)/.exec(target)?.[1] ?? /services\/([^/]+)/.exec(target)?.[1];
}

function importFaults(path, text) {
  return importsOf(text).flatMap((target) =>
    rules
      .filter((rule) => rule.holds(path) && rule.forbids(target, path))
      .map((rule) => `${path}: imports ${target}; ${rule.says}`),
  );
}
