import { main } from "./app.ts";

process.exitCode = await main(process.argv.slice(2));
// A paused terminal or an idle connection must not keep a finished command alive.
if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit();
