import { Template } from "./template.ts";

/** A column: its heading, and the field of a row that it shows. */
export interface Column {
  heading: string;
  field: string;
}

export type Row = Record<string, unknown>;

/** Rows under headings, each column as wide as its widest cell. */
export function renderTable(columns: readonly Column[], rows: readonly Row[]): string {
  const lines = [
    columns.map(({ heading }) => heading),
    ...rows.map((row) => columns.map(({ field }) => String(row[field] ?? ""))),
  ];
  return align(lines);
}

function align(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [index, cell] of line.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  const last = (line: readonly string[]) => line.length - 1;
  return lines
    .map((line) =>
      line.map((cell, index) => (index === last(line) ? cell : cell.padEnd((widths[index] ?? 0) + 3))).join(""),
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/**
 * Rows in the format asked for: none (a table), "json", "table TEMPLATE", or a template for each row.
 * @throws UsageError for a template that can't be read
 */
export function renderRows(format: string | undefined, columns: readonly Column[], rows: readonly Row[]): string {
  if (format === undefined || format === "" || format === "table") return renderTable(columns, rows);
  if (format === "json") return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  if (!format.startsWith("table ")) {
    const template = new Template(format);
    return rows.map((row) => `${template.render(row)}\n`).join("");
  }
  const cells = format.slice("table ".length).replaceAll("\\t", "\t").split("\t");
  const templates = cells.map((cell) => new Template(cell));
  const headings = cells.map((cell) => headingOf(cell, columns));
  return align([headings, ...rows.map((row) => templates.map((template) => template.render(row)))]);
}

function headingOf(cell: string, columns: readonly Column[]): string {
  const field = /\.([A-Za-z]+)/.exec(cell)?.[1] ?? "";
  return columns.find((column) => column.field === field)?.heading ?? field.toUpperCase();
}
