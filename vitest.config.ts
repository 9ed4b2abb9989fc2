import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Programs that the bootstrap took from Debian packages without installing them.
process.env["PATH"] = `${process.env["PATH"] ?? ""}:${join(import.meta.dirname, ".cache/bin")}`;

const groups = ["packages", "services", "native"];
const files = (pattern: string) => groups.map((group) => `${group}/*/tests/${pattern}`);
const common = { environment: "node" as const, pool: "forks" as const };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "unit",
          include: files("**/*.test.ts"),
          exclude: [...files("root/**"), ...files("e2e/**"), ...files("long/**")],
          testTimeout: 20_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...common,
          name: "root",
          include: files("root/**/*.test.ts"),
          // They share the machine's mounts, cgroups and links: one after the other.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...common,
          name: "e2e",
          include: files("e2e/**/*.test.ts"),
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          ...common,
          // Minutes of faults over several hosts: `npm run test:long`, not part of `npm test`.
          name: "long",
          include: files("long/**/*.test.ts"),
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
