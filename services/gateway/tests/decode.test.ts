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
  ...typeErrors([
    ['{"Env":[1]}', "number into .Env.0 of type string"],
    ['{"HostConfig":{"Memory":1e30}}', "number 1e30 into Go struct field .HostConfig.Memory of type int64"],
    ['{"HostConfig":{"NanoCpus":1E400}}', "number 1E400 into Go struct field .HostConfig.NanoCpus of type int64"],
    ['{"IMAGE":"a","hostconfig":{"MEMORY":"x"}}', "string into Go struct field .hostconfig.MEMORY of type int64"],
    [
      '{"HostConfig":{"Ulimits":[{"Soft":"1"}]}}',
      "string into Go struct field .HostConfig.Ulimits.0.Soft of type int64",
    ],
    [
      '{"HostConfig":{"PortBindings":{"80/tcp":[5]}}}',
      "number into .HostConfig.PortBindings.80~1tcp.0 of type nat.PortBinding",
    ],
    [
      '{"HostConfig":{"Sysctls":{"a~b/c":5}}}',
      "number into Go struct field .HostConfig.Sysctls.a~0b~1c of type string",
    ],
    ['{"HostConfig":{"ConsoleSize":[-1,2]}}', "number -1 into .HostConfig.ConsoleSize.0 of type uint"],
    [
      '{"HostConfig":{"Mounts":[{"Type":5}]}}',
      "number into Go struct field .HostConfig.Mounts.0.Type of type mount.Type",
    ],
    ['{"Healthcheck":{"Interval":"1s"}}', "string into Go struct field .Healthcheck.Interval of type time.Duration"],
    ['{"ExposedPorts":{"a":5}}', "number into Go struct field .ExposedPorts.a of type struct {}"],
    ['{"ExposedPorts":["80"]}', "array into Go struct field .ExposedPorts of type nat.PortSet"],
    ['{"Cmd":5}', "number into Go value of type string"],
    ['{"Cmd":[5]}', "array into Go value of type string"],
    ["1 2", "number into Go value of type container.CreateRequest"],
  ]),
  ...syntaxErrors([
    ['{"Image":"a"', "unexpected EOF"],
    ['{"Image":"a",', "unexpected EOF"],
    ['"abc', "unexpected EOF"],
    ["1e", "unexpected EOF"],
    ['{"Image":"a",}', "invalid character '}' looking for beginning of object key string"],
    ["{'Image':1}", "invalid character '\\'' looking for beginning of object key string"],
    ['{"Image" "a"}', "invalid character '\"' after object key"],
    ['{"Image":nope}', "invalid character 'o' in literal null (expecting 'u')"],
    ['{"Image":01}', "invalid character '1' after object key:value pair"],
    ['{"Image":-}', "invalid character '}' in numeric literal"],
    ["1.x", "invalid character 'x' in numeric literal"],
    ['{"a":"\t"}', "invalid character '\\t' in string"],
    ['{"a":"\\x"}', "invalid escape sequence `\\x` in string"],
    ['"a\\u12zz"', "invalid escape sequence `\\u12zz` in string"],
    ["[1 2]", "invalid character '2' after array element"],
    ["[1}", "invalid character '}' after array element"],
    ["{a:1}", "invalid character 'a' looking for beginning of object key string"],
    ["é", "invalid character 'é' looking for beginning of value"],
  ]),
];

function typeErrors(rows: [string, string][]): [string, string][] {
  return rows.map(([body, what]) => [body, `invalid JSON: json: cannot unmarshal ${what}`]);
}

function syntaxErrors(rows: [string, string][]): [string, string][] {
  return rows.map(([body, what]) => [body, `invalid JSON: ${what}`]);
}

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

  it("is not brought down by depth", () => {
    const deep = `{"a":${"[".repeat(100_000)}`;
    expect(() => parseJson(deep, createRequest)).toThrow("invalid JSON: exceeded max depth");
  });

  it("takes null inside a list for an empty word", () => {
    expect(parseJson('{"Env":[null,"A=b"],"Cmd":["a",null]}', createRequest)).toEqual({
      Env: ["", "A=b"],
      Cmd: ["a", ""],
    });
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
