/** Starting programs that go into the background, and processes by descriptor (which can't come to mean another process). */
import { native, type Watch } from "./native.ts";

export interface SpawnOptions {
  /** Absolute path. */
  readonly file: string;
  /** With argv[0]. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Become descriptors 3, 4, … of the program; the caller still closes its own. */
  readonly fds?: readonly number[];
  readonly cgroup?: null;
}

/**
 * Starts a program whose foreground part ends soon (it puts itself into the background), with /dev/null as stdin, stdout and
 * stderr, and waits for that part. Nothing of this process is copied for it, and its end raises no SIGCHLD here.
 * @returns the ended foreground process's id and exit code (128+n if signal n killed it).
 * @throws NativeError of `execve` if there is no such program.
 */
export const spawnDetached = ({
  file,
  args,
  env,
  fds = [],
}: SpawnOptions): Promise<{ pid: number; exitCode: number }> =>
  native.spawnDetached({
    file,
    args,
    env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    fds,
    cgroup: null,
  });

/** Reads the first line (at most 64 KiB) of a pipe, or all there is if it ends without one. Takes and closes `fd`. @throws ETIMEDOUT */
export const readReport = (fd: number, timeoutMs: number, signal?: AbortSignal): Promise<string> =>
  settled(native.watchReport(fd, timeoutMs), signal);

/** A descriptor of the process. @throws ESRCH */
export const pidfdOpen = (pid: number): number => native.pidfdOpen(pid);

/** Resolves when the process has ended. `fd` stays the caller's and may be closed meanwhile. */
export const pidfdWait = async (fd: number, signal?: AbortSignal): Promise<void> => {
  await settled(native.watchPidfd(fd), signal);
};

/** @throws ESRCH when the process has gone. */
export const killPidfd = (fd: number, signal: number): void => native.killPidfd(fd, signal);

async function settled(watch: Watch, signal: AbortSignal | undefined): Promise<string> {
  if (signal === undefined) return watch.promise;
  const cancel = () => native.cancelWatch(watch.id);
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    return await watch.promise;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
