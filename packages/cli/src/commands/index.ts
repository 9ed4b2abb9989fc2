import type { Command } from "../command.ts";

export type Load = () => Promise<{ default: Command }>;

export interface Entry {
  summary: string;
  load: Load;
}

/** Each command's file is loaded when the command runs: starting is most of what a short command costs. */
const entry = (summary: string, load: Load): Entry => ({ summary, load });

const container = {
  attach: entry("Join a running container's terminal or streams", () => import("./attach.ts")),
  commit: entry("Make an image of a container", () => import("./commit.ts")),
  cp: entry("Copy files between a container and here", () => import("./cp.ts")),
  create: entry("Make a container without starting it", () => import("./create.ts")),
  diff: entry("Show what a container changed in its image's files", () => import("./diff.ts")),
  exec: entry("Run a command in a running container", () => import("./exec.ts")),
  export: entry("Write a container's files to an archive", () => import("./export.ts")),
  inspect: entry("Show everything about containers or images as JSON", () => import("./inspect.ts")),
  kill: entry("Send a signal to containers", () => import("./kill.ts")),
  logs: entry("Show what a container has printed", () => import("./logs.ts")),
  pause: entry("Freeze the processes of containers", () => import("./pause.ts")),
  port: entry("Show a container's published ports", () => import("./port.ts")),
  rename: entry("Rename a container", () => import("./rename.ts")),
  restart: entry("Restart containers", () => import("./restart.ts")),
  rm: entry("Remove containers", () => import("./rm.ts")),
  run: entry("Make a container from an image and run it", () => import("./run.ts")),
  start: entry("Start stopped containers", () => import("./start.ts")),
  stats: entry("Show what containers use", () => import("./stats.ts")),
  stop: entry("Stop running containers", () => import("./stop.ts")),
  top: entry("Show the processes of a container", () => import("./top.ts")),
  unpause: entry("Thaw paused containers", () => import("./unpause.ts")),
  update: entry("Change limits and restart policy of containers", () => import("./update.ts")),
  wait: entry("Wait until containers stop and show their exit codes", () => import("./wait.ts")),
};

const ps = entry("List containers", () => import("./ps.ts"));
const images = entry("List images", () => import("./images.ts"));
const rmi = entry("Remove images", () => import("./rmi.ts"));
const pull = entry("Download an image from a registry", () => import("./pull.ts"));
const tag = entry("Give an image another name", () => import("./tag.ts"));
const history = entry("Show the steps that made an image", () => import("./history.ts"));
const load = entry("Load images from an archive", () => import("./load.ts"));
const save = entry("Write images to an archive", () => import("./save.ts"));
const importImage = entry("Make an image from an archive of files", () => import("./import.ts"));
const events = entry("Show what happens, as it happens", () => import("./events.ts"));
const info = entry("Show what the engine is and has", () => import("./info.ts"));
const version = entry("Show versions of the client and the engine", () => import("./version.ts"));
const df = entry("Show how much space images and containers take", () => import("./df.ts"));

export const commands: Record<string, Entry> = {
  ...container,
  ps,
  images,
  rmi,
  pull,
  tag,
  history,
  load,
  save,
  import: importImage,
  events,
  info,
  version,
  search: entry("Search a registry for images", () => import("./search.ts")),
  completion: entry("Print a completion script for bash, zsh or fish", () => import("./completion.ts")),
};

export const groups: Record<string, { summary: string; commands: Record<string, Entry> }> = {
  container: {
    summary: "Work with containers",
    commands: {
      ...container,
      ls: ps,
      list: ps,
      ps,
      move: entry("Move a container to another node, with all that it wrote", () => import("./container-move.ts")),
      prune: entry("Remove stopped containers", () => import("./container-prune.ts")),
    },
  },
  image: {
    summary: "Work with images",
    commands: {
      ls: images,
      list: images,
      rm: rmi,
      pull,
      tag,
      history,
      load,
      save,
      import: importImage,
      inspect: container.inspect,
      prune: entry("Remove unused images", () => import("./image-prune.ts")),
    },
  },
  network: {
    summary: "Look at networks",
    commands: {
      ls: entry("List networks", () => import("./network-ls.ts")),
      inspect: entry("Show everything about networks as JSON", () => import("./network-inspect.ts")),
    },
  },
  volume: {
    summary: "Work with volumes",
    commands: {
      create: entry("Make a volume", () => import("./volume-create.ts")),
      inspect: entry("Show everything about volumes as JSON", () => import("./volume-inspect.ts")),
      ls: entry("List volumes", () => import("./volume-ls.ts")),
      prune: entry("Remove unused volumes", () => import("./volume-prune.ts")),
      rm: entry("Remove volumes", () => import("./volume-rm.ts")),
    },
  },
  node: {
    summary: "Look after the hosts that run containers",
    commands: {
      activate: entry("Let nodes have new containers again", () => import("./node-activate.ts")),
      drain: entry("Give nodes no new containers, and move those that are there away", () => import("./node-drain.ts")),
      inspect: entry("Show everything about nodes as JSON", () => import("./node-inspect.ts")),
      ls: entry("List the nodes that run containers", () => import("./node-ls.ts")),
      rm: entry("Forget nodes that are away for good", () => import("./node-rm.ts")),
      token: entry("Make, list or revoke tokens by which hosts join", () => import("./node-token.ts")),
      promote: entry("Let nodes run a NATS server", () => import("./node-promote.ts")),
      demote: entry("Let nodes run no NATS server any more", () => import("./node-demote.ts")),
      revoke: entry("Shut nodes out", () => import("./node-revoke.ts")),
      update: entry("Change labels and availability of a node", () => import("./node-update.ts")),
    },
  },
  system: {
    summary: "The engine itself",
    commands: {
      info,
      df,
      events,
      prune: entry("Remove stopped containers, unused networks and images", () => import("./system-prune.ts")),
    },
  },
};
