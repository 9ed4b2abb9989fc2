import { describe, expect, it } from "vitest";
import { memory, parseBytes, parseNanos, size } from "../src/output/human.ts";
import { renderRows, renderTable } from "../src/output/table.ts";
import { Template } from "../src/output/template.ts";

describe("templates", () => {
  const value = { Name: "web", State: { Pid: 5 }, List: ["a", "b"], Map: { k: "v" }, Nothing: null };
  it.each([
    ["{{.Name}}: {{.State.Pid}}", "web: 5"],
    ["{{json .State}}", '{"Pid":5}'],
    ['{{index .List 1}}{{index .Map "k"}}', "bv"],
    ["{{upper .Name}}\\t{{.List}} {{.Map}}", "WEB\t[a b] map[k:v]"],
    ["{{.Nothing}}", "<no value>"],
    ["{{- .Name -}}", "web"],
  ])("%s", (text, rendered) => {
    expect(new Template(text).render(value)).toBe(rendered);
  });
  it.each(["{{range .List}}{{.}}{{end}}", "{{.Name"])("says that %s can't be read", (text) => {
    expect(() => new Template(text)).toThrow("template parsing error");
  });
  it("says which field is not there", () => {
    expect(() => new Template("{{.Nope}}").render(value)).toThrow("can't evaluate field Nope");
  });
});

describe("tables", () => {
  const columns = [
    { heading: "ID", field: "ID" },
    { heading: "NAMES", field: "Names" },
  ];
  const rows = [
    { ID: "1234567", Names: "web" },
    { ID: "1", Names: "database" },
  ];
  it("are as wide as their widest cells", () => {
    expect(renderTable(columns, rows)).toBe("ID        NAMES\n1234567   web\n1         database\n");
  });
  it("come in other formats", () => {
    expect(renderRows("{{.Names}}", columns, rows)).toBe("web\ndatabase\n");
    expect(renderRows("table {{.Names}}\\t{{.ID}}", columns, rows)).toBe(
      "NAMES      ID\nweb        1234567\ndatabase   1\n",
    );
    expect(renderRows("json", columns, rows.slice(1))).toBe('{"ID":"1","Names":"database"}\n');
  });
});

it("reads and writes sizes and durations", () => {
  expect([size(4_982_347), size(88), memory(25_276_510_208)]).toEqual(["4.98MB", "88B", "23.54GiB"]);
  expect([parseBytes("64m"), parseBytes("1.5g"), parseBytes("-1"), parseBytes("x")]).toEqual([
    67_108_864,
    1_610_612_736,
    -1,
    undefined,
  ]);
  expect([parseNanos("1m30s"), parseNanos("500ms"), parseNanos("5")]).toEqual([90e9, 5e8, undefined]);
});
