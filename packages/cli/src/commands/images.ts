import type { Command } from "../command.ts";
import { ago, shortId, size } from "../output/human.ts";
import { type Column, type Row, renderRows } from "../output/table.ts";
import { filterQuery } from "./filters.ts";
import { splitReference } from "./reference.ts";

interface Summary {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  Created: number;
  Size: number;
  Containers: number;
}

const columns: Column[] = [
  { heading: "REPOSITORY", field: "Repository" },
  { heading: "TAG", field: "Tag" },
  { heading: "IMAGE ID", field: "ID" },
  { heading: "CREATED", field: "CreatedSince" },
  { heading: "SIZE", field: "Size" },
];
const digestColumn: Column = { heading: "DIGEST", field: "Digest" };

const command: Command = {
  usage: "images [OPTIONS] [REPOSITORY[:TAG]]",
  summary: "List images",
  flags: [
    { name: "all", short: "a", type: "bool", help: "Show intermediate images too" },
    { name: "digests", type: "bool", help: "Show digests" },
    {
      name: "filter",
      short: "f",
      type: "list",
      value: "key=value",
      help: "Show those that match (dangling, label, before, since, reference)",
    },
    { name: "format", type: "string", help: 'json, or a template: "{{.Repository}}:{{.Tag}}"' },
    { name: "no-trunc", type: "bool", help: "Show whole ids" },
    { name: "quiet", short: "q", type: "bool", help: "Show ids alone" },
  ],
  examples: ["berth images", "berth images -q", "berth images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"],
  args: [0, 1],
  async run({ engine, flags, args: [reference], print }) {
    const filters = [...flags.list("filter"), ...(reference === undefined ? [] : [`reference=${reference}`])];
    const query = { all: flags.bool("all"), filters: filterQuery(filters) };
    const found = await engine.json<Summary[]>("GET", "/images/json", { query });
    const rows = found.flatMap((image) => rowsOf(image, flags.bool("no-trunc")));
    const shown = flags.bool("digests") ? [...columns.slice(0, 2), digestColumn, ...columns.slice(2)] : columns;
    if (flags.bool("quiet")) await print([...new Set(rows.map(({ ID }) => `${String(ID)}\n`))].join(""));
    else await print(renderRows(flags.text("format"), shown, rows));
    return 0;
  },
};

function rowsOf(image: Summary, whole: boolean): Row[] {
  const common = {
    ID: whole ? image.Id : shortId(image.Id),
    CreatedAt: new Date(image.Created * 1000).toISOString(),
    CreatedSince: ago(image.Created),
    Size: size(image.Size),
    Containers: image.Containers < 0 ? "N/A" : String(image.Containers),
  };
  const digests = new Map((image.RepoDigests ?? []).map((text) => text.split("@") as [string, string]));
  const tags = image.RepoTags ?? [];
  if (tags.length === 0) {
    const [repository = "<none>", digest = "<none>"] = [...digests][0] ?? [];
    return [{ ...common, Repository: repository, Tag: "<none>", Digest: digest }];
  }
  return tags.map((text) => {
    const { name, tag } = splitReference(text);
    return { ...common, Repository: name, Tag: tag, Digest: digests.get(name) ?? "<none>" };
  });
}

export default command;
