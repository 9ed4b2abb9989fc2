// Pushes one of the standard images, run by itself so that it can be put inside a network namespace.
import { pushBusybox, pushDebian } from "./images.ts";

const [what, host, file] = process.argv.slice(2);
if (host === undefined) throw new TypeError("push-image.ts busybox|debian HOST:PORT [LAYER]");
if (what === "busybox") await pushBusybox(host);
else if (what === "debian" && file !== undefined) await pushDebian(host, file);
else throw new TypeError(`unknown image ${what}`);
