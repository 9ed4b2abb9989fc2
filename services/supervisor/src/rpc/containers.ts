import { type SupervisorDefinition, WaitCondition as WaitConditionNumber } from "@berth/api/containers";
import type { Implementation } from "@berth/rpc";
import { resize } from "../domain/containers/attach.ts";
import type { Container, WaitCondition } from "../domain/containers/container.ts";
import { shownEtcFiles } from "../domain/containers/etc-files.ts";
import { sizesOf } from "../domain/containers/inspect.ts";
import { linkNames, removeLink, shownLinks } from "../domain/containers/links.ts";
import { listContainers } from "../domain/containers/list.ts";
import { pause, unpause } from "../domain/containers/pause.ts";
import { remove } from "../domain/containers/remove.ts";
import { rename } from "../domain/containers/rename.ts";
import { start } from "../domain/containers/start.ts";
import { isRunning } from "../domain/containers/state.ts";
import { kill, restart, stop } from "../domain/containers/stop.ts";
import { update } from "../domain/containers/update.ts";
import { waitFor } from "../domain/containers/wait.ts";
import type { Engine } from "../domain/engine.ts";
import { notRunning } from "../domain/errors.ts";
import { findExec } from "../domain/exec/exec.ts";
import { fromNano } from "../domain/time.ts";
import { decodeResources, decodeSpec } from "./decode.ts";
import { encodeContainer, encodeSummary, nanoOf } from "./encode.ts";

const conditions: Partial<Record<number, WaitCondition>> = {
  [WaitConditionNumber.NEXT_EXIT]: "next-exit",
  [WaitConditionNumber.REMOVED]: "removed",
};

/** Life and look of containers. */
export function containerCalls(engine: Engine): Implementation<typeof SupervisorDefinition> {
  const { parts } = engine;
  const view = (container: Container, sizes?: { rw: number; rootFs: number }) => {
    const { id, record, openExecs } = container;
    // Those that were made and never started are among them, as in Docker.
    const execIds = [...openExecs];
    const paths = {
      logPath: record.spec.hostConfig.logConfig.type === "none" ? "" : parts.paths.log(id),
      etc: shownEtcFiles(parts.paths, record),
      links: shownLinks(parts, record),
      linkNames: linkNames(parts, id),
    };
    return encodeContainer({ record, nodeId: parts.nodeId, nodeName: parts.nodeName, ...paths, execIds, sizes });
  };
  return {
    async create({ name, spec, idempotencyKey, requestDigest }, { signal }) {
      return engine.create({ name, spec: decodeSpec(spec), idempotencyKey, requestDigest }, signal);
    },
    async start({ container }) {
      await start(parts, engine.findToChange(container));
      return {};
    },
    async stop({ container, timeout, signal }) {
      await stop(parts, engine.findToChange(container), { timeout, signal, reference: container });
      return {};
    },
    async restart({ container, timeout, signal }) {
      await restart(parts, engine.findToChange(container), { timeout, signal, reference: container });
      return {};
    },
    async kill({ container, signal }) {
      await kill(parts, engine.findToChange(container), signal, container);
      return {};
    },
    async pause({ container }) {
      await pause(parts, engine.findToChange(container));
      return {};
    },
    async unpause({ container }) {
      await unpause(parts, engine.findToChange(container));
      return {};
    },
    async rename({ container, name }) {
      await rename(parts, engine.findToChange(container), name);
      return {};
    },
    async update({ container, resources, restartPolicy }) {
      const warnings = await update(parts, engine.findToChange(container), decodeResources(resources), restartPolicy);
      return { warnings };
    },
    async remove({ container, force, volumes, link }) {
      if (link) {
        await removeLink(parts, container);
        return {};
      }
      await remove(parts, engine.find(container), { force, volumes }, container);
      return {};
    },
    async *wait({ container: name, condition, lastExit }, { signal }) {
      const container = engine.find(name);
      const waiting = waitFor(container, conditions[condition] ?? "not-running", lastExit, signal);
      // Handled below; but the caller may go away between the two.
      waiting.catch(() => undefined);
      yield { lastExit: lastExit ?? container.record.state.finishedAt };
      yield await waiting;
    },
    async inspect({ container, size }) {
      const found = engine.find(container);
      return { container: view(found, size ? await sizesOf(parts, found.record) : undefined) };
    },
    async list({ filters, all, limit, size, createdBefore, createdAfter }) {
      const values = Object.fromEntries(Object.entries(filters).map(([key, filter]) => [key, filter.values]));
      const found = listContainers(parts, {
        filters: values,
        all,
        limit,
        createdBefore: decodeTime(createdBefore),
        createdAfter: decodeTime(createdAfter),
      });
      const sizes = await Promise.all(found.map(({ record }) => (size ? sizesOf(parts, record) : undefined)));
      const { nodeId } = parts;
      return {
        containers: found.map(({ id, record }, index) =>
          encodeSummary({ record, nodeId, linkNames: linkNames(parts, id), sizes: sizes[index] }),
        ),
      };
    },
    async resize({ container, exec, rows, columns }) {
      if (exec === "") {
        await resize(parts, engine.find(container), rows, columns);
        return {};
      }
      const found = findExec(parts, exec);
      if (!isRunning(found.container.record)) throw notRunning(found.container.id);
      await resize(parts, found.container, rows, columns, exec);
      return {};
    },
  };
}

function decodeTime(time: { seconds: number; nanos: number } | undefined): string {
  const nano = nanoOf(time);
  return nano === undefined ? "" : fromNano(nano);
}
