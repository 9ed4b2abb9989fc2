import { describe, expect, it } from "vitest";
import {
  allReasons,
  BerthError,
  decodeDetails,
  encodeDetails,
  fromGrpc,
  GrpcCode,
  httpStatus,
  isBerthError,
  toGrpc,
} from "../src/index.ts";

describe("the error table", () => {
  it.each(allReasons)("%s survives the way over gRPC and back", (reason) => {
    const sent = new BerthError(reason, `a ${reason} error`, { id: "abc", umlaut: "ä" });
    const wire = toGrpc(sent);
    const received = fromGrpc(wire.code, wire.message, wire.reason, decodeDetails(encodeDetails(wire.details)));
    expect(received.reason).toBe(reason);
    expect(received.code).toBe(sent.code);
    expect(received.message).toBe(sent.message);
    expect(received.details).toEqual(sent.details);
    expect(httpStatus(received)).toBe(httpStatus(sent));
  });

  it.each(Object.values(GrpcCode).filter((code) => code !== GrpcCode.OK))("bare status %d becomes an error", (code) => {
    const error = fromGrpc(code, "from elsewhere");
    expect(isBerthError(error)).toBe(true);
    expect(allReasons).toContain(error.reason);
  });

  it("gives Docker's HTTP statuses", () => {
    const status = (reason: (typeof allReasons)[number]) => httpStatus(new BerthError(reason, ""));
    expect(status("NO_SUCH_CONTAINER")).toBe(404);
    expect(status("NAME_IN_USE")).toBe(409);
    expect(status("NOT_MODIFIED")).toBe(304);
    expect(status("NOT_IMPLEMENTED")).toBe(501);
    expect(status("UNAVAILABLE")).toBe(503);
    expect(status("INTERNAL")).toBe(500);
    expect(status("NO_SPACE")).toBe(500);
  });
});

describe("errors that are not ours", () => {
  it("maps unknown errors to INTERNAL, aborts to CANCELLED, time-outs to DEADLINE", () => {
    expect(toGrpc(new TypeError("boom")).code).toBe(GrpcCode.INTERNAL);
    expect(toGrpc("text").message).toBe("text");
    expect(toGrpc(AbortSignal.abort().reason).reason).toBe("CANCELLED");
    expect(toGrpc(new DOMException("late", "TimeoutError")).reason).toBe("DEADLINE");
  });

  it("recognises an error of another copy of the class", () => {
    const copy = Object.assign(new Error("x"), { name: "BerthError", reason: "CONFLICT", code: 10, details: {} });
    expect(isBerthError(copy)).toBe(true);
    expect(isBerthError(Object.assign(new Error("x"), { name: "BerthError" }))).toBe(false);
  });

  it("takes no details from bytes it does not know", () => {
    expect(decodeDetails(new Uint8Array([0xff, 0xfe]))).toEqual({});
    expect(decodeDetails(new TextEncoder().encode('{"a":1,"b":"c"}'))).toEqual({ b: "c" });
    expect(decodeDetails(new TextEncoder().encode("null"))).toEqual({});
  });

  it("bounds what goes into a header block", () => {
    expect(toGrpc(new BerthError("INTERNAL", "x".repeat(1e6))).message.length).toBeLessThanOrEqual(4096);
    const encoded = encodeDetails({ big: "y".repeat(1e6), id: "abc" });
    expect(decodeDetails(encoded)).toEqual({ id: "abc" });
  });
});
