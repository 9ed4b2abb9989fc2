import { request } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket } from "node:net";

/**
 * Asks grpc.health.v1.Health/Check over a unix socket. By hand, since the question is five bytes and the answer seven: a
 * gRPC library would be most of the launcher's memory.
 */
export function isServing(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    let session: ClientHttp2Session | undefined;
    const end = (serving: boolean) => {
      session?.destroy();
      resolve(serving);
    };
    session = connect("http://localhost", { createConnection: () => connectSocket(socketPath) });
    session.once("error", () => end(false));
    session.setTimeout(1_000, () => end(false));
    const call = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    call.on("data", (data: Buffer) => chunks.push(data));
    call.once("error", () => end(false));
    call.once("end", () => end(Buffer.concat(chunks).equals(servingAnswer)));
    call.end(emptyRequest);
  });
}

/** Not compressed, no bytes: a HealthCheckRequest for the whole server. */
const emptyRequest = Buffer.from([0, 0, 0, 0, 0]);
/** Not compressed, two bytes: field 1 (status), SERVING. */
const servingAnswer = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);

/** GET /_ping of the Engine API at a unix:// or tcp:// URL. TLS endpoints are not asked. */
export function pings(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const target = host.startsWith("unix://")
      ? { socketPath: host.slice("unix://".length) }
      : { host: new URL(host).hostname, port: new URL(host).port };
    const call = request({ ...target, path: "/_ping", timeout: 1_000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once("timeout", () => call.destroy());
    call.once("error", () => resolve(false));
    call.end();
  });
}
