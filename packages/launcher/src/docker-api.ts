import { request } from "node:http";

export interface ApiAnswer {
  status: number;
  body: Buffer;
}

const timeoutMs = 60_000;
const maxAnswerBytes = 4 * 1024 * 1024;

/** One call of the Engine API over its unix socket, with the whole answer. */
export function callApi(
  socketPath: string,
  method: string,
  path: string,
  body?: { json: object } | { bytes: Buffer },
): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const payload =
      body === undefined ? undefined : "json" in body ? Buffer.from(JSON.stringify(body.json)) : body.bytes;
    const headers = {
      host: "berth",
      ...(body !== undefined && { "content-type": "json" in body ? "application/json" : "application/x-tar" }),
      "content-length": payload?.length ?? 0,
    };
    const call = request({ socketPath, method, path, headers, timeout: timeoutMs, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) call.destroy(new Error(`${path} answers more than ${maxAnswerBytes} bytes`));
        else chunks.push(chunk);
      });
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
    });
    call.once("timeout", () =>
      call.destroy(new Error(`${method} ${path} did not answer within ${timeoutMs / 1000} s`)),
    );
    call.once("error", reject);
    call.end(payload);
  });
}
