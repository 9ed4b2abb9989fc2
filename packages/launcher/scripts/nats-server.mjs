// Has a nats-server ready before anything that needs one, so that no two of them fetch it at the same time.
import { acquireNatsServer } from "@berth/launcher/nats";

console.log(await acquireNatsServer(undefined, console.error));
