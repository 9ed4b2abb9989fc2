/** Progress as Docker's clients show it: JSON lines, each with the bar already drawn. */

const barWidth = 50;
const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** Decimal sizes with four significant digits: "36.45kB". */
export function humanSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${Number(size.toPrecision(4))}${units[unit]}`;
}

/** "[=====>      ]  36.45kB/3.002MB" */
function progressBar(current: number, total: number): string {
  const shown = humanSize(current).padStart(8);
  if (total <= 0 || current > total) return shown;
  const filled = Math.floor(Math.floor((current / total) * 100) / 2);
  return `[${"=".repeat(filled)}>${" ".repeat(barWidth - filled)}] ${shown}/${humanSize(total)}`;
}

export interface ProgressMessage {
  status: string;
  id?: string;
  current?: number;
  total?: number;
}

/** One line of a pull's answer. Go escapes < > & in such streams; the meaning is the same, the bytes match Docker's. */
export function progressLine({ status, id, current, total }: ProgressMessage): string {
  const message: Record<string, unknown> = { status };
  if (current !== undefined && total !== undefined) {
    message["progressDetail"] = total > 0 ? { current, total } : { current };
    message["progress"] = progressBar(current, total);
  } else if (id !== undefined && !isHeading(status)) {
    message["progressDetail"] = {};
  }
  if (id !== undefined) message["id"] = id;
  return jsonLine(message);
}

/** "Pulling from library/busybox" names a tag, not a layer, and carries no detail. */
function isHeading(status: string): boolean {
  return status.startsWith("Pulling from ");
}

export function errorLine(message: string): string {
  return jsonLine({ errorDetail: { message }, error: message });
}

export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value).replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)}\r\n`;
}
