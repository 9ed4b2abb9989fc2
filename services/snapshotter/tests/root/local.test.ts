import { quotasEnforced } from "@berth/isolation";
import { expect, test } from "vitest";
import { snapshotterContract } from "../contract.ts";
import { openSubject } from "../subject.ts";

snapshotterContract("the local one", () => openSubject());

// Where there are quotas (few machines have them) the lane of native/isolation/tests/cgroup2 looks at what they do.
test("storage options: what can't be had is refused in Docker's words, and nothing is made", async () => {
  const subject = await openSubject();
  const enforced = await quotasEnforced(subject.directory);
  const refusals: [Record<string, string>, string][] = [
    [{ foo: "1" }, "Unknown option foo"],
    [{ FOO: "1" }, "Unknown option foo"],
    ...(enforced
      ? ([[{ size: "abc" }, "invalid size: 'abc'"]] as [Record<string, string>, string][])
      : [{ size: "10G" }, { SIZE: "0" }, { size: "abc" }, { foo: "1", size: "1" }].map(
          (options): [Record<string, string>, string] => [
            options,
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
          ],
        )),
  ];
  for (const [storageOptions, message] of refusals) {
    await expect(subject.snapshotter.prepare("c", "", { storageOptions })).rejects.toMatchObject({
      reason: "INTERNAL",
      message,
    });
  }
  await subject.snapshotter.prepare("c", "", { storageOptions: {} });
  await subject.close();
});
