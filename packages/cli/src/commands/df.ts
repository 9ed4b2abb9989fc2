import type { Command } from "../command.ts";
import { UsageError } from "../flags.ts";
import { size } from "../output/human.ts";
import { type Column, renderRows } from "../output/table.ts";
import { renderDetails, type Usage } from "./df-details.ts";

const columns: Column[] = [
  { heading: "TYPE", field: "Type" },
  { heading: "TOTAL", field: "TotalCount" },
  { heading: "ACTIVE", field: "Active" },
  { heading: "SIZE", field: "Size" },
  { heading: "RECLAIMABLE", field: "Reclaimable" },
];

const command: Command = {
  usage: "system df [OPTIONS]",
  summary: "Show how much space images, containers and volumes take",
  flags: [
    { name: "format", type: "string", help: "json, or a template" },
    { name: "verbose", short: "v", type: "bool", help: "Show each image, container and volume" },
  ],
  examples: ["berth system df", "berth system df -v"],
  args: [0, 0],
  async run({ engine, flags, print }) {
    const usage = await engine.json<Usage>("GET", "/system/df");
    if (flags.bool("verbose")) {
      if (flags.has("format")) throw new UsageError("the format and verbose options can not be used together");
      await print(renderDetails(usage));
      return 0;
    }
    const images = usage.Images ?? [];
    const containers = usage.Containers ?? [];
    const sum = (numbers: number[]) => numbers.reduce((total, value) => total + value, 0);
    const unused = sum(images.filter((image) => image.Containers <= 0).map((image) => image.Size));
    const stopped = containers.filter(({ State }) => State !== "running");
    const rows = [
      {
        Type: "Images",
        TotalCount: images.length,
        Active: images.filter((image) => image.Containers > 0).length,
        Size: size(usage.LayersSize),
        Reclaimable: size(Math.min(unused, usage.LayersSize)),
      },
      {
        Type: "Containers",
        TotalCount: containers.length,
        Active: containers.length - stopped.length,
        Size: size(sum(containers.map((c) => c.SizeRw ?? 0))),
        Reclaimable: size(sum(stopped.map((c) => c.SizeRw ?? 0))),
      },
      volumeRow(usage.Volumes ?? []),
      // The engine keeps nothing of builds yet.
      { Type: "Build Cache", TotalCount: 0, Active: 0, Size: size(0), Reclaimable: size(0) },
    ];
    await print(renderRows(flags.text("format"), columns, rows));
    return 0;
  },
};

function volumeRow(volumes: NonNullable<Usage["Volumes"]>) {
  const usages = volumes.map(({ UsageData }) => UsageData ?? { Size: 0, RefCount: 0 });
  const bytes = (some: typeof usages) => size(some.reduce((total, { Size }) => total + Math.max(0, Size), 0));
  return {
    Type: "Local Volumes",
    TotalCount: volumes.length,
    Active: usages.filter(({ RefCount }) => RefCount > 0).length,
    Size: bytes(usages),
    Reclaimable: bytes(usages.filter(({ RefCount }) => RefCount === 0)),
  };
}

export default command;
