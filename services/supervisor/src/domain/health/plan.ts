import type { ContainerConfig, Health, Healthcheck } from "../model.ts";

/** What a container's health check does, with Docker's defaults filled in. All times in milliseconds. */
export interface HealthPlan {
  command: string[];
  intervalMs: number;
  /** For one probe. */
  timeoutMs: number;
  /** After a start, while failures do not count. */
  startPeriodMs: number;
  /** Between probes of that time. */
  startIntervalMs: number;
  /** Failures in a row that make it unhealthy. */
  retries: number;
}

const defaults = { interval: 30_000, timeout: 30_000, startPeriod: 0, startInterval: 5_000, retries: 3 };

/** The plan of a container, or undefined when it is not checked: none given, NONE, or a kind that nobody knows (as Docker). */
export function healthPlan({ healthcheck, shell }: ContainerConfig): HealthPlan | undefined {
  const command = healthcheck && commandOf(healthcheck, shell);
  if (!healthcheck || !command || command.length === 0) return undefined;
  const ms = (nanoseconds: number, fallback: number) => (nanoseconds > 0 ? nanoseconds / 1_000_000 : fallback);
  return {
    command,
    intervalMs: ms(healthcheck.interval, defaults.interval),
    timeoutMs: ms(healthcheck.timeout, defaults.timeout),
    startPeriodMs: ms(healthcheck.startPeriod, defaults.startPeriod),
    startIntervalMs: ms(healthcheck.startInterval, defaults.startInterval),
    retries: healthcheck.retries > 0 ? healthcheck.retries : defaults.retries,
  };
}

function commandOf({ test }: Healthcheck, shell: readonly string[]): string[] | undefined {
  const [kind, ...words] = test;
  if (kind === "CMD") return words;
  if (kind === "CMD-SHELL") return [...(shell.length > 0 ? shell : ["/bin/sh", "-c"]), ...words];
  return undefined;
}

/** Milliseconds until the next probe; `ranForMs` since the container's start. */
export function nextDelay(plan: HealthPlan, status: Health["status"], ranForMs: number): number {
  return status === "starting" && inStartPeriod(plan, ranForMs) ? plan.startIntervalMs : plan.intervalMs;
}

/** The start is timed by the monitor's clock, which may be a moment ahead of ours: without a start period nothing is within it. */
const inStartPeriod = ({ startPeriodMs }: Pick<HealthPlan, "startPeriodMs">, ranForMs: number): boolean =>
  startPeriodMs > 0 && ranForMs < startPeriodMs;

const maxResults = 5;

/** The health after one more result: Docker's rules. Failures within the start period of one that was never healthy do not count. */
export function judged(
  health: Health,
  plan: Pick<HealthPlan, "retries" | "startPeriodMs">,
  result: Health["log"][number],
  ranForMs: number,
): Health {
  const log = [...health.log, result].slice(-maxResults);
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (health.status === "starting" && inStartPeriod(plan, ranForMs)) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= plan.retries ? "unhealthy" : health.status, failingStreak, log };
}

/** Go's way to write a duration: "600ms", "1m30s", "1.5s". */
export function goDuration(ms: number): string {
  if (ms < 1000) return `${trimmed(ms)}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = trimmed((ms % 60_000) / 1000);
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}

const trimmed = (value: number): string => String(Number(value.toFixed(9)));
