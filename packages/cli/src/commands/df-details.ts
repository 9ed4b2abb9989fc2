import { ago, ellipsis, shortId, size } from "../output/human.ts";
import { type Column, type Row, renderTable } from "../output/table.ts";
import { splitReference } from "./reference.ts";

/** What GET /system/df answers, as far as it is shown. */
export interface Usage {
  LayersSize: number;
  Images: ImageUsage[] | null;
  Containers: ContainerUsage[] | null;
  Volumes: VolumeUsage[] | null;
}

interface ImageUsage {
  Id: string;
  RepoTags: string[] | null;
  Created: number;
  Containers: number;
  Size: number;
  SharedSize: number;
}

interface ContainerUsage {
  Id: string;
  Names: string[];
  Image: string;
  Command: string;
  Created: number;
  State: string;
  Status: string;
  SizeRw?: number;
  Mounts: { Type: string }[] | null;
}

interface VolumeUsage {
  Name: string;
  UsageData?: { Size: number; RefCount: number };
}

const column = (heading: string): Column => ({ heading, field: heading });
const imageColumns = "REPOSITORY,TAG,IMAGE ID,CREATED,SIZE,SHARED SIZE,UNIQUE SIZE,CONTAINERS".split(",").map(column);
const containerColumns = "CONTAINER ID,IMAGE,COMMAND,LOCAL VOLUMES,SIZE,CREATED,STATUS,NAMES".split(",").map(column);
const volumeColumns = "VOLUME NAME,LINKS,SIZE".split(",").map(column);

/** `system df -v`: a table each of images, containers and volumes. */
export function renderDetails({ Images, Containers, Volumes }: Usage): string {
  return [
    "Images space usage:\n",
    renderTable(imageColumns, (Images ?? []).flatMap(imageRows)),
    "Containers space usage:\n",
    renderTable(containerColumns, (Containers ?? []).map(containerRow)),
    "Local Volumes space usage:\n",
    renderTable(volumeColumns, (Volumes ?? []).map(volumeRow)),
  ].join("\n");
}

function imageRows(image: ImageUsage): Row[] {
  const tags = image.RepoTags ?? [];
  return (tags.length === 0 ? ["<none>:<none>"] : tags).map((text) => {
    const { name, tag } = splitReference(text);
    return {
      REPOSITORY: name,
      TAG: tag,
      "IMAGE ID": shortId(image.Id),
      CREATED: ago(image.Created),
      SIZE: size(image.Size),
      "SHARED SIZE": size(image.SharedSize),
      "UNIQUE SIZE": size(image.Size - image.SharedSize),
      CONTAINERS: Math.max(0, image.Containers),
    };
  });
}

const containerRow = (container: ContainerUsage): Row => ({
  "CONTAINER ID": shortId(container.Id),
  IMAGE: container.Image,
  COMMAND: `"${ellipsis(container.Command, 20)}"`,
  "LOCAL VOLUMES": (container.Mounts ?? []).filter(({ Type }) => Type === "volume").length,
  SIZE: size(container.SizeRw ?? 0),
  CREATED: ago(container.Created),
  STATUS: container.Status,
  NAMES: container.Names.map((name) => name.replace(/^\//, "")).join(","),
});

const volumeRow = ({ Name, UsageData }: VolumeUsage): Row => ({
  "VOLUME NAME": Name,
  LINKS: UsageData?.RefCount ?? 0,
  SIZE: UsageData === undefined || UsageData.Size < 0 ? "N/A" : size(UsageData.Size),
});
