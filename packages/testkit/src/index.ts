export { Api, type ApiAnswer } from "./api.ts";
export { AttachReader } from "./attach-reader.ts";
export { type Bed, openBed } from "./bed.ts";
export { Docker, findDocker, findProgram } from "./docker.ts";
export { type Host, type HostEngineOptions, type Hosts, openHosts } from "./hosts.ts";
export {
  type BuiltLayer,
  buildDebian,
  busyboxRoot,
  type ImageConfig,
  packLayer,
  pushBusybox,
  pushDebian,
  pushImage,
} from "./images.ts";
export { type Standing, standing } from "./leaks.ts";
export { type LogLine, LogReader } from "./log-reader.ts";
export { createNetns, type NetworkNamespace } from "./netns.ts";
export { ended, eventually, must, type RunOptions, type RunResult, run, stop } from "./process.ts";
export { type Registry, type RegistryOptions, startRegistry } from "./registry.ts";
