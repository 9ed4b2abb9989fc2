import { describe, expect, it } from "vitest";
import { createRequest } from "../src/domain/create/body.ts";
import { parseJson } from "../src/json/decode.ts";

/** Docker 28.5's answers to the same bodies. */
const refused: [string, string][] = [
  ["", "invalid JSON: got EOF while reading request body"],
  ["{", "invalid JSON: unexpected EOF"],
  ['{"Image":"busybox"} {}', "unexpected content after JSON"],
  ["[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest"],
  ['{"Image":1}', "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"],
  [
    '{"HostConfig":{"Memory":"x"}}',
    "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory of type int64",
  ],
  ['{"Tty":"x"}', "invalid JSON: json: cannot unmarshal string into Go struct field .Tty of type bool"],
  [
    '{"Labels":["a"]}',
    "invalid JSON: json: cannot unmarshal array into Go struct field .Labels of type map[string]string",
  ],
];

describe("request bodies", () => {
  it.each(refused)("%s is refused in Docker's words", (body, message) => {
    expect(() => parseJson(body, createRequest)).toThrow(message);
  });

  it("takes names in any case, null for absent, and fields it does not know", () => {
    const body = parseJson(
      '{"image":"a","CMD":"one word","Env":null,"HostConfig":{"memory":5},"New":1}',
      createRequest,
    );
    expect(body).toEqual({ Image: "a", Cmd: ["one word"], HostConfig: { Memory: 5 } });
  });

  it("takes null for nothing at all", () => {
    expect(parseJson("null", createRequest)).toBeNull();
  });

  it("keeps 64-bit numbers that mean no limit, and refuses fractions", () => {
    const body = parseJson('{"HostConfig":{"Memory":9223372036854775807}}', createRequest);
    expect(body?.HostConfig?.Memory).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => parseJson('{"HostConfig":{"Memory":1.5}}', createRequest)).toThrow("cannot unmarshal number 1.5");
  });

  it("does not let a label named __proto__ reach the prototype", () => {
    const body = parseJson('{"Labels":{"__proto__":"x","a":"b"}}', createRequest);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect(body?.Labels?.["a"]).toBe("b");
  });
});
