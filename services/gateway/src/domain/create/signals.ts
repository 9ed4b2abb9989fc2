/** Linux's signal names and numbers (signal(7), x86 and arm); real-time ones as RTMIN, RTMIN+n, RTMAX-n, RTMAX. */
const names = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU " +
  "XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");
const others: Record<string, number> = { IOT: 6, CLD: 17, POLL: 29, UNUSED: 31, RTMIN: 34, RTMAX: 64 };
const first = 34;
const last = 64;

/** The number of "SIGTERM", "term" or "15"; undefined when there is no such signal. */
export function signalNumber(text: string): number | undefined {
  if (/^[0-9]{1,3}$/.test(text)) {
    const number = Number(text);
    return number > 0 && number <= last && number !== 32 && number !== 33 ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const plain = names.indexOf(name);
  if (plain !== -1) return plain + 1;
  if (Object.hasOwn(others, name)) return others[name];
  const offset = /^RT(MIN\+|MAX-)([0-9]{1,2})$/.exec(name);
  if (offset === null) return undefined;
  const number = offset[1] === "MIN+" ? first + Number(offset[2]) : last - Number(offset[2]);
  return number >= first && number <= last ? number : undefined;
}

/** A stop signal by number may be any: whether there is one of it shows when it is sent, as with Docker. */
export function isStopSignal(text: string): boolean {
  return isSignal(text) || (/^[0-9]{1,9}$/.test(text) && Number(text) > 0);
}

export function isSignal(text: string): boolean {
  return signalNumber(text) !== undefined;
}
