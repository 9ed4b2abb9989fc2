/** The monitor's answers and events (native/isolation/PROTOCOL.md) as TypeScript sees them. */
import type { OciProcess, OciResources } from "../spec/oci.ts";

export type MonitorRequest =
  | { op: "state" | "pause" | "resume" | "stats" | "subscribe" }
  | { op: "attach"; stdin: boolean; stdout: boolean; stderr: boolean; exec?: string; replay?: boolean }
  | { op: "log-shipped"; offset: number }
  | {
      op: "exec";
      id: string;
      process: OciProcess;
      user: string;
      privileged: boolean;
      attach: { stdin: boolean; stdout: boolean; stderr: boolean } | null;
      rows: number;
      cols: number;
    }
  | { op: "resize"; rows: number; cols: number; exec?: string }
  | { op: "kill"; signal: number; exec?: string; all?: boolean; tree?: boolean }
  | { op: "update"; resources: OciResources };

export interface MonitorFailure {
  code: string;
  call: string;
  object: string;
  message: string;
}

export type MonitorAnswer<T = unknown> = ({ ok: true } & T) | { ok: false; error: MonitorFailure; exitCode?: number };

export interface MonitorState {
  pid: number;
  /** Its own. Absent: the monitor is of an older version. */
  monitorPid?: number;
  status: "created" | "running" | "paused" | "stopped";
  startedAt: string;
  execs: { id: string; pid: number }[];
  /** Execs that have ended, the last 256. Absent: the monitor is of an older version. */
  exits?: { id: string; exitCode: number; failed?: true }[];
}

export interface ExitRecord {
  exitCode: number;
  signal: number;
  oomKilled: boolean;
  startedAt: string;
  finishedAt: string;
  error: string;
}

export type MonitorEvent =
  | ({ event: "exit" } & ExitRecord)
  | { event: "exec-start"; exec: string; pid: number }
  | { event: "exec-exit"; exec: string; exitCode: number; failed?: true }
  | { event: "oom" };

export type StartReport =
  | { event: "started"; pid: number; monitorPid: number; startedAt: string }
  | { event: "failed"; exitCode: number; phase: string; message: string };

/** Cgroup counters (src/cgroup/cgroup.h), snake_case. */
export interface MonitorStats {
  cpu_usage_ns: number;
  cpu_user_ns: number;
  cpu_system_ns: number;
  cpu_periods: number;
  cpu_throttled_periods: number;
  cpu_throttled_ns: number;
  memory_usage: number;
  memory_limit: number;
  memory_max_usage: number;
  memory_cache: number;
  memory_inactive_file: number;
  oom_kills: number;
  pids_current: number;
  pids_limit: number;
  io_read_bytes: number;
  io_write_bytes: number;
  // Absent: the monitor is of an older version.
  memory_failures?: number;
  memory_version?: number;
  io_version?: number;
  cpu_per_cpu_ns?: number[];
  memory_details?: Record<string, number>;
  io_bytes?: IoCounter[];
  io_operations?: IoCounter[];
}

export interface IoCounter {
  major: number;
  minor: number;
  op: string;
  value: number;
}
