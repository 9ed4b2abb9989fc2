import type { ServerResponse } from "node:http";
import { type BerthError, errorMessage, httpStatus, isAbortError, isBerthError } from "@berth/errors";
import { berthVersion, dockerVersion, maxVersionText } from "./version.ts";

/** Clients find the engine's operating system in the parentheses. */
export const serverHeader = `Docker/${dockerVersion} Berth/${berthVersion} (linux)`;

export const commonHeaders: Readonly<Record<string, string>> = {
  "Api-Version": maxVersionText,
  "Docker-Experimental": "false",
  Ostype: "linux",
  Server: serverHeader,
};

/** Answers with JSON, one line as Docker sends it. */
export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  res.writeHead(status, { ...commonHeaders, "Content-Type": "application/json", "Content-Length": body.length });
  res.end(body);
}

export function sendEmpty(res: ServerResponse, status: number): void {
  const headers: Record<string, string> = { ...commonHeaders };
  // 204 and 304 have no body by definition, and no length.
  if (status !== 204 && status !== 304) headers["Content-Length"] = "0";
  res.writeHead(status, headers);
  res.end();
}

/** Starts an answer whose length is not known; the body is written piece by piece. */
export function startStream(res: ServerResponse, contentType: string | undefined, status = 200): void {
  const headers: Record<string, string> = { ...commonHeaders };
  if (contentType !== undefined) headers["Content-Type"] = contentType;
  res.writeHead(status, headers);
  // Clients act on the headers (docker run sends start once wait has answered), so they must not wait for data.
  res.flushHeaders();
}

/** The status and text for anything thrown. */
export function failureOf(error: unknown): { status: number; message: string } {
  if (isBerthError(error)) return { status: statusOf(error), message: error.message };
  if (isAbortError(error)) return { status: 499, message: "request cancelled" };
  return { status: 500, message: errorMessage(error) };
}

function statusOf(error: BerthError): number {
  // A start that failed for what the caller asked is 400; the details may say that it was the engine's fault.
  if (error.reason === "START_FAILED" && error.details["httpStatus"] === "500") return 500;
  return httpStatus(error);
}

/** Answers a failed call, if an answer can still be given. */
export function sendError(res: ServerResponse, error: unknown): void {
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  // The rest of a body that nobody wants is not waited for: the connection ends with the answer.
  if (!res.req.complete) res.shouldKeepAlive = false;
  const { status, message } = failureOf(error);
  if (status === 304) sendEmpty(res, 304);
  else sendJson(res, status, { message });
}
