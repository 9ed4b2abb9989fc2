import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Bed, openBed } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/**
 * What Docker 28.5 answered to one create body after the other, and how it showed the container then: recorded on a host
 * with cgroup v1 (testdata). Of the first all fields are there, of the others those that differ from it.
 */
interface Recorded {
  name: string;
  body: object;
  version?: string;
  query?: string;
  status: number;
  message?: string;
  warnings?: string[];
  inspect?: View;
}
type Part = Record<string, unknown>;
type View = Partial<Record<"Config" | "HostConfig" | "Networks", Part>>;

const cases = JSON.parse(
  readFileSync(join(import.meta.dirname, "../testdata/docker-28.5-creates.json"), "utf8"),
) as Recorded[];
const plain = cases[0]?.inspect as Required<View>;
const parts = ["Config", "HostConfig", "Networks"] as const;

interface Inspect {
  Config: Part;
  HostConfig: Part;
  NetworkSettings: { Networks: Record<string, Part> };
}

/** Only what this engine itself decides: no ids, addresses, names of the image. */
function viewOf({ Config, HostConfig, NetworkSettings }: Inspect): Required<View> {
  const { Env, Hostname, Image, ...config } = Config;
  const shown = ["IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority", "DNSNames"];
  const networks = Object.entries(NetworkSettings.Networks).map(([name, settings]) => [
    name,
    Object.fromEntries(shown.map((key) => [key, settings[key]])),
  ]);
  return { Config: config, HostConfig, Networks: Object.fromEntries(networks) as Part };
}

function expected(view: View): Required<View> {
  const whole = parts.map((part) => {
    const fields = Object.entries({ ...plain[part], ...view[part] });
    return [part, Object.fromEntries(fields.filter(([, value]) => value !== "ABSENT"))];
  });
  return Object.fromEntries(whole) as Required<View>;
}

describe("create and inspect, as Docker", () => {
  let bed: Bed;
  let image: string;
  beforeAll(async () => {
    bed = await openBed();
    image = await bed.pull("busybox");
  });
  afterAll(() => bed?.close());

  it.each(cases.map((recorded) => [recorded.name, recorded] as const))("%s", async (_name, recorded) => {
    const body = JSON.parse(JSON.stringify(recorded.body).replaceAll('"IMAGE"', JSON.stringify(image))) as object;
    const path = `/v${recorded.version ?? "1.51"}/containers/create?${recorded.query ?? ""}`;
    const { status, json } = await bed.api.call("POST", path, body);
    const answer = json as { message?: string; Warnings?: string[]; Id?: string };
    const told = { status, message: answer.message?.replaceAll(image, "IMAGE"), warnings: answer.Warnings ?? [] };
    const { message, warnings = [] } = recorded;
    expect(told).toEqual({ status: recorded.status, message, warnings });
    if (answer.Id === undefined) return;
    const seen = viewOf(await bed.api.must<Inspect>("GET", `/containers/${answer.Id}/json`));
    expect(seen).toEqual(expected(recorded.inspect ?? {}));
    await bed.api.must("DELETE", `/containers/${answer.Id}?v=1&force=1`);
  });
});
