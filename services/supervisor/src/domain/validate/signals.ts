import { invalid } from "../errors.ts";

const names = [
  "",
  "HUP",
  "INT",
  "QUIT",
  "ILL",
  "TRAP",
  "ABRT",
  "BUS",
  "FPE",
  "KILL",
  "USR1",
  "SEGV",
  "USR2",
  "PIPE",
  "ALRM",
  "TERM",
  "STKFLT",
  "CHLD",
  "CONT",
  "STOP",
  "TSTP",
  "TTIN",
  "TTOU",
  "URG",
  "XCPU",
  "XFSZ",
  "VTALRM",
  "PROF",
  "WINCH",
  "IO",
  "PWR",
  "SYS",
] as const;
const aliases: Readonly<Record<string, number>> = { IOT: 6, POLL: 29, CLD: 17 };

export const SIGKILL = 9;
export const SIGTERM = 15;

/** The number of "SIGTERM", "term", "15" or "RTMIN+3" (Linux). Throws INVALID_ARGUMENT. */
export function parseSignal(text: string): number {
  const number = numberOf(text);
  if (number === undefined || number === 0) throw invalid(`invalid signal: ${text}`);
  return number;
}

/** The same for a signal that will be sent: refuses numbers that Linux has no signal for. */
export function parseSendableSignal(text: string): number {
  const number = parseSignal(text);
  // 32 and 33 are the C library's own.
  if (number < 0 || number > 64 || number === 32 || number === 33)
    throw invalid(`the linux daemon does not support signal ${number}`);
  return number;
}

function numberOf(text: string): number | undefined {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  const name = text.toUpperCase().replace(/^SIG/, "");
  const index = names.indexOf(name as (typeof names)[number]);
  if (index > 0) return index;
  if (Object.hasOwn(aliases, name)) return aliases[name];
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!realTime) return undefined;
  const offset = Number(realTime[3] ?? 0);
  if (realTime[1] === "MIN") return realTime[2] !== "-" && offset <= 30 ? 34 + offset : undefined;
  return realTime[2] !== "+" && offset <= 30 ? 64 - offset : undefined;
}
