// What a user of testcontainers does, run as a program of its own: inside the engine's network namespace, where published
// ports can be reached. Says what happened as one line of JSON.
import { once } from "node:events";
import { get } from "node:http";
import { GenericContainer, type StartedTestContainer, Wait } from "testcontainers";

const image = process.argv[2];
if (image === undefined) throw new TypeError("testcontainers-user.ts IMAGE");

// httpd goes to the background when it listens: what it is "ready" for is true.
const serve = "mkdir -p /www; echo hello > /www/index.html; httpd -p 8080 -h /www; echo ready; exec sleep 1000";
const server = ["sh", "-c", serve];
const short = 60_000;

const byLog = await new GenericContainer(image)
  .withCommand(server)
  .withExposedPorts(8080)
  .withEnvironment({ GREETING: "good day" })
  .withCopyContentToContainer([{ content: "copied in", target: "/note" }])
  .withWaitStrategy(Wait.forLogMessage("ready"))
  .withStartupTimeout(short)
  .start();
const byPort = await new GenericContainer(image)
  .withCommand(server)
  .withExposedPorts(8080)
  .withWaitStrategy(Wait.forListeningPorts())
  .withStartupTimeout(short)
  .start();
const byHealth = await new GenericContainer(image)
  .withCommand(server)
  .withHealthCheck({ test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"], interval: 200, retries: 50 })
  .withWaitStrategy(Wait.forHealthCheck())
  .withStartupTimeout(short)
  .start();

const note = await byLog.exec(["cat", "/note"]);
const greeting = await byLog.exec(["sh", "-c", 'echo "$GREETING"; exit 3']);
const said = {
  ids: [byLog, byPort, byHealth].map((container) => container.getId()),
  pages: [await page(byLog), await page(byPort)],
  note: note.output,
  greeting: [greeting.output.trim(), greeting.exitCode],
  logs: (await firstLog(byPort)).trim(),
};
await byLog.restart();
const again = await page(byLog);
await Promise.all([byLog.stop(), byPort.stop({ timeout: 1_000 }), byHealth.stop()]);
console.log(JSON.stringify({ ...said, again }));

function page(container: StartedTestContainer): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: container.getHost(), port: container.getMappedPort(8080), path: "/" }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.once("end", () => resolve(text.trim()));
    }).once("error", reject);
  });
}

async function firstLog(container: StartedTestContainer): Promise<string> {
  const stream = await container.logs();
  // A log alone does not keep a program of testcontainers' alive.
  const alive = setTimeout(() => stream.destroy(new Error("no log")), short);
  const [chunk] = (await once(stream, "data")) as [Buffer | string];
  clearTimeout(alive);
  stream.destroy();
  return String(chunk);
}
