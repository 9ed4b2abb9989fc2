/** Bounds on directory trees by project quotas (ext4 and xfs mounted with prjquota or pquota, Linux 5.14 or newer). */
import { native } from "./native.ts";

/** Whether the file system that holds `directory` counts projects and holds them to their limits. */
export const quotasEnforced = (directory: string): Promise<boolean> => native.quotasEnforced(directory);

/**
 * Makes an empty `directory` of the project, and what will be made in it. Resolves with false, nothing done, when files belong to the project
 * already or it has a limit.
 */
export const assignProject = (directory: string, project: number): Promise<boolean> =>
  native.assignProject(directory, project);

/** All files of the project together may take `bytes`, rounded up to KiB; 0: no limit. */
export const limitProject = (directory: string, project: number, bytes: number): Promise<void> =>
  native.limitProject(directory, project, bytes);

/** The project that `directory` is of; 0: none. */
export const projectOf = (directory: string): Promise<number> => native.projectOf(directory);
