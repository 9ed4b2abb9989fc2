import { isIP } from "node:net";
import { failed } from "../errors.ts";
import type { ContainerSpec, HostConfig, Ulimit } from "../model.ts";

const create =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";
const inInit = `${create}unable to start container process: error during container init: `;

/**
 * What Docker takes at create and refuses at every start, in its words. Nothing has been made yet.
 * Throws INTERNAL.
 */
export function checkStart({ config, hostConfig: host }: ContainerSpec): void {
  for (const server of host.dns) checkServer(server);
  for (const rule of host.resources.deviceCgroupRules) {
    if (!deviceRule.test(rule)) throw failed(`invalid device cgroup rule format: '${rule}'`);
  }
  checkSysctls(host);
  for (const ulimit of host.resources.ulimits) checkUlimit(ulimit);
  // The kernel's bound (__NEW_UTS_LEN).
  if (config.hostname.length > 64) throw failed(`${inInit}sethostname: invalid argument`);
  if (config.domainname.length > 64) throw failed(`${inInit}setdomainname: invalid argument`);
}

const deviceRule = /^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/;

function checkServer(server: string): void {
  if (isIP(server) !== 0) return;
  const strange = /[^0-9a-fA-F:.%]/.exec(server)?.[0];
  const isCut = strange !== undefined && isIP(server.slice(0, server.indexOf(strange))) !== 0;
  const why = isCut
    ? `unexpected character (at ${JSON.stringify(server.slice(server.indexOf(strange)))})`
    : "unable to parse IP";
  throw failed(`bad nameserver address ${server}: ParseAddr(${JSON.stringify(server)}): ${why}`);
}

const ipcSysctls = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;

/** Only what a namespace of the container's own holds may be set. */
function checkSysctls(host: HostConfig): void {
  for (const key of Object.keys(host.sysctls)) {
    // The first separator decides which of the two ways of writing this is (sysctl(8)).
    const dotted = /^[^.]*\//.test(key) ? key.replaceAll("/", ".") : key;
    const wrong = (why: string) => failed(`${create}sysctl "${key}" ${why}`);
    if (dotted.startsWith("net.")) {
      if (host.networkMode === "host") throw wrong("not allowed in host network namespace");
    } else if (ipcSysctls.test(dotted)) {
      if (host.ipcMode === "host") throw wrong("is not allowed in the hosts ipc namespace");
    } else if (dotted === "kernel.hostname") {
      throw wrong('is not allowed as it conflicts with the OCI "hostname" field');
    } else if (dotted === "kernel.domainname") {
      if (host.utsMode === "host") throw wrong("is not allowed in the hosts uts namespace");
    } else {
      throw wrong("is not in a separate kernel namespace");
    }
  }
}

/** Their numbers (asm-generic/resource.h). */
const limits =
  "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime".split(" ");

function checkUlimit({ name, soft, hard }: Ulimit): void {
  const type = limits.indexOf(name.toLowerCase());
  if (type < 0) throw failed(`${create}wrong rlimit value: RLIMIT_${name.toUpperCase()}`);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw failed(
      `${inInit}error setting rlimits for ready process: error setting rlimit type ${type}: invalid argument`,
    );
  }
}
