import { randomBytes } from "node:crypto";
import { open, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** More than opening a database again takes: its log as a table, and a new log. */
const bytes = 4 * 1024 * 1024;
const pieceBytes = 256 * 1024;
/** ms between tries to have it back */
const againMs = 5_000;

/**
 * Room on the disk that is kept back beside a database. To delete a record takes room too, and with none left nothing could ever be
 * deleted again.
 */
export class Reserve {
  readonly #file: string;
  #isWhole = false;
  #taking: Promise<void> | undefined;
  #nextTry = 0;

  constructor(database: string) {
    this.#file = `${database}.reserve`;
  }

  /** Has it made unless it is there; where the disk is too full for that, later. */
  keep(): void {
    if (this.#isWhole || this.#taking !== undefined || performance.now() < this.#nextTry) return;
    this.#nextTry = performance.now() + againMs;
    this.#taking = this.#takeIfPlenty()
      .catch(() => undefined)
      .finally(() => {
        this.#taking = undefined;
      });
  }

  async release(): Promise<void> {
    await this.#taking;
    this.#isWhole = false;
    await rm(this.#file, { force: true });
  }

  /** Takes back what is left of it. */
  async retake(): Promise<void> {
    await this.#taking;
    await this.#take().catch(() => undefined);
  }

  /** Resolves when nothing is being written here. */
  async settled(): Promise<void> {
    await this.#taking;
  }

  /** Whether the disk has as much and more to spare. */
  async isPlenty(): Promise<boolean> {
    const { bavail, bsize } = await statfs(dirname(this.#file));
    return bavail * bsize > 2 * bytes;
  }

  async #takeIfPlenty(): Promise<void> {
    const known = await stat(this.#file).catch(() => undefined);
    this.#isWhole = known?.size === bytes;
    if (!this.#isWhole && (await this.isPlenty())) await this.#take();
  }

  /** As much of it as there is room for. */
  async #take(): Promise<void> {
    const file = await open(this.#file, "w", 0o600);
    try {
      // Nothing that a file system could make smaller.
      for (let written = 0; written < bytes; written += pieceBytes) await file.write(randomBytes(pieceBytes));
      this.#isWhole = true;
    } finally {
      await file.close();
    }
  }
}
