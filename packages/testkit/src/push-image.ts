// Pushes one of the standard images, run by itself so that it can be put inside a network namespace.
import { pushBusybox, pushDebian } from "./images.ts";

const [what, host, cache] = process.argv.slice(2);
if (host === undefined) throw new TypeError("push-image.ts busybox|debian HOST:PORT [CACHE]");
if (what === "busybox") await pushBusybox(host);
else if (what === "debian" && cache !== undefined) await pushDebian(host, cache);
else throw new TypeError(`unknown image ${what}`);
