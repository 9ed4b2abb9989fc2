import { any, type Command } from "../command.ts";
import { renderTable } from "../output/table.ts";
import { containerPath } from "./each.ts";

const command: Command = {
  usage: "top CONTAINER [PS OPTIONS]",
  summary: "Show the processes of a container",
  flags: [],
  examples: ["berth top web", "berth top web -o pid,args"],
  args: [1, any],
  interspersed: false,
  async run({ engine, args: [name = "", ...psArgs], print }) {
    const query = { ps_args: psArgs.join(" ") };
    const { Titles, Processes } = await engine.json<{ Titles: string[]; Processes: string[][] }>(
      "GET",
      containerPath(name, "/top"),
      { query },
    );
    const columns = Titles.map((heading) => ({ heading, field: heading }));
    await print(
      renderTable(
        columns,
        Processes.map((cells) => Object.fromEntries(Titles.map((title, index) => [title, cells[index]]))),
      ),
    );
    return 0;
  },
};

export default command;
