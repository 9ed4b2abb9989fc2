// Clients that break off, dawdle, or send far too much, on bare sockets.
import { connect, type Socket } from "node:net";
import type { Random } from "../soak/random.ts";

const whole = [
  "POST /containers/create?name=half HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n",
  'Content-Length: 64\r\n\r\n{"Image":"busybox","Cmd":["true"],',
].join("");
const chunked = "POST /images/load HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
const upgraded =
  "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const follower = "GET /events HTTP/1.1\r\nHost: docker\r\n\r\n";

/** Connections at a time; a kernel with a short queue (net.core.somaxconn) refuses more. */
const atOnce = 50;

/** Opens connections and drops each somewhere in the middle of a request. */
export async function dropHalfWay(socket: string, count: number, random: Random): Promise<void> {
  for (let done = 0; done < count; done += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, count - done) }, () => {
      const text = random.pick([whole, chunked, upgraded, follower, "\u0000\u0001\u0002garbage\r\n\r\n"]);
      return dropAfter(socket, text.slice(0, random.between(0, text.length)));
    });
    await Promise.all(batch);
  }
}

function dropAfter(path: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(path, () => {
      socket.write(text, () => setImmediate(() => socket.destroy()));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // The engine may close first.
      if (error.code !== "EPIPE" && error.code !== "ECONNRESET") reject(error);
    });
    socket.once("close", () => resolve());
    socket.resume();
  });
}

/** Clients that have begun a request and do not go on; `release` lets them go. */
export async function dawdlers(path: string, count: number): Promise<{ release: () => void }> {
  const sockets = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(path, () => {
            socket.off("error", reject).on("error", () => {});
            socket.write(whole.slice(0, 90));
            resolve(socket);
          });
          socket.once("error", reject);
        }),
    ),
  );
  return {
    release: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

export interface Flood {
  /** bytes that the engine took before it had enough */
  readonly taken: number;
  /** What it answered; 0 when it only closed. */
  readonly status: number;
}

/** Sends a body of `total` bytes, of unknown length, as fast as it is taken. */
export function flood(path: string, target: string, total: number): Promise<Flood> {
  return new Promise((resolve, reject) => {
    const piece = Buffer.alloc(64 * 1024, 0x20);
    const framed = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    let taken = 0;
    let answer = "";
    const socket = connect(path);
    const timer = setTimeout(() => reject(new Error(`POST ${target}: no end to a body of ${total} bytes`)), 60_000);
    const write = () => {
      while (!socket.destroyed && socket.writable) {
        if (taken >= total) {
          socket.write("0\r\n\r\n");
          return;
        }
        taken += piece.length;
        if (!socket.write(framed)) return;
      }
    };
    socket.on("drain", write);
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      if (answer.includes("\r\n\r\n")) socket.destroy();
    });
    socket.on("error", () => {});
    socket.once("close", () => {
      clearTimeout(timer);
      resolve({ taken, status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0) });
    });
    socket.write(
      `POST ${target} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
      write,
    );
  });
}
