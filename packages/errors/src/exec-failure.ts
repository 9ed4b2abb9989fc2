/** Why a program could not be run, as a container's monitor tells it (native/isolation/PROTOCOL.md, "Requests"). */
export interface ProgramFailure {
  /** 126, 127, or whatever else; undefined: it never came to running anything. */
  readonly exitCode?: number | undefined;
  /** errno's name */
  readonly code?: string;
  /** "exec": the program itself; else what was done before it. */
  readonly call?: string;
  readonly object?: string;
  readonly message?: string;
}

/** The call of a failure that another OCI runtime tells of, in words of its own. */
const otherRuntime = "runtime exec";
const withoutCall = (message: string) => message.replace(/^runtime exec: /, "");

/** Docker's words for an exec that could not be started; clients look for them. `program` is the first argument, as it was given. */
export function execFailureText(program: string, failure: ProgramFailure): string {
  if (failure.call === otherRuntime) return `OCI runtime exec failed: ${withoutCall(failure.message ?? "")}`;
  return `OCI runtime exec failed: exec failed: unable to start container process: ${reasonOf(program, failure)}`;
}

function reasonOf(program: string, { call, code = "", object = "", message = "", exitCode }: ProgramFailure): string {
  if (call === "chdir to cwd") {
    return `chdir to cwd (${JSON.stringify(object)}) set in config.json failed: ${errnoTexts[code] ?? message}`;
  }
  // What kept the process from getting as far as its program (a limit, a terminal) is told as it is.
  return call === "exec" ? programFailure(program, exitCode, message) : message;
}

/** `exec: "foo": executable file not found in $PATH` and its kin: the user's program, not the kernel's errno, tells. */
export function programFailure(program: string, exitCode: number | undefined, message: string): string {
  const quoted = JSON.stringify(program);
  if (/chdir|working directory|cwd/i.test(message)) return message;
  if (exitCode === 127) {
    return program.includes("/")
      ? `exec: ${quoted}: stat ${program}: no such file or directory`
      : `exec: ${quoted}: executable file not found in $PATH`;
  }
  if (/EISDIR|is a directory/i.test(message)) return `exec: ${quoted}: is a directory: permission denied`;
  if (/ENOEXEC|format/i.test(message)) return `exec ${program}: exec format error`;
  return exitCode === 126 ? `exec: ${quoted}: permission denied` : message;
}

const errnoTexts: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  ENOENT: "no such file or directory",
  ENOTDIR:
    "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? " +
    "Check if the specified host path exists and is the expected type",
};
