import { readFileSync, unlinkSync } from "node:fs";
import type { FaultPoint } from "./containers/parts.ts";

const die = () => process.kill(process.pid, "SIGKILL");

/**
 * Kills this process, as a crash would, when it comes to the point named (BERTH_SUPERVISOR_FAULT, tests only). "@FILE": to the point
 * that stands there, and takes the file away first, so that the next process lives.
 */
export function makeFaultPoint(wanted: string): FaultPoint {
  if (wanted === "") return () => {};
  if (!wanted.startsWith("@")) return (name) => void (name === wanted && die());
  const path = wanted.slice(1);
  return (name) => {
    if (read(path) !== name) return;
    unlinkSync(path);
    die();
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
