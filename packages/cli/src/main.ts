import { main } from "./app.ts";

// A reader that has had enough (head) ends us, as it ends every program in a pipe: 128 and the signal's number.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 141 : 1));

process.exitCode = await main(process.argv.slice(2));
// A paused terminal or an idle connection must not keep a finished command alive.
if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
