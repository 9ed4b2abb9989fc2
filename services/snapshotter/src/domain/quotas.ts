import { ramInBytes } from "@berth/config";
import { BerthError, errorMessage } from "@berth/errors";
import { assignProject, limitProject, projectOf, quotasEnforced } from "@berth/isolation";

/** Ids of projects are the file system's, so they begin where no other program's do: Docker counts from 1. */
const firstProject = 0x42000000;
const lastProject = firstProject + 0x3fffffff;

const failed = (message: string) => new BerthError("INTERNAL", message);

/** How much of the disk a snapshot's files may take, where the file system can hold it to that. A directory's number makes its project. */
export class Quotas {
  readonly #base: string;
  readonly enforced: boolean;

  private constructor(base: string, enforced: boolean) {
    this.#base = base;
    this.enforced = enforced;
  }

  static async open(base: string): Promise<Quotas> {
    return new Quotas(base, await quotasEnforced(base));
  }

  /**
   * Bytes that storage options ask for, undefined for as many as there are. @throws INTERNAL in Docker's words, in the order in which
   * its overlay2 driver looks: no quotas here, an unknown option, a size that is none
   */
  read(options: Readonly<Record<string, string>>): number | undefined {
    const entries = Object.entries(options).map(([key, value]) => [key.toLowerCase(), value] as const);
    if (!this.enforced && entries.some(([key]) => key === "size"))
      throw failed("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
    let bytes = 0;
    for (const [key, value] of entries) {
      if (key !== "size") throw failed(`Unknown option ${key}`);
      try {
        bytes = ramInBytes(value);
      } catch (error) {
        throw failed(errorMessage(error));
      }
    }
    return bytes === 0 ? undefined : bytes;
  }

  /**
   * Makes the empty directory `path` the project of its number, for all that is made in it. False when others of this file system
   * have that project: another number is needed.
   */
  claim(path: string, dir: number): Promise<boolean> {
    return assignProject(path, firstProject + dir);
  }

  limit(dir: number, bytes: number): Promise<void> {
    return limitProject(this.#base, firstProject + dir, bytes);
  }

  /** Gives the project of a directory that is to be removed back. Nothing to do for one without. */
  async release(path: string): Promise<void> {
    if (!this.enforced) return;
    const project = await projectOf(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return 0;
      throw error;
    });
    if (project >= firstProject && project <= lastProject) await limitProject(this.#base, project, 0);
  }
}
