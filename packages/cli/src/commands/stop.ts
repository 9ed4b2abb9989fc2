import { stoppingCommand } from "./stopping.ts";

export default stoppingCommand("stop", "Stop running containers");
