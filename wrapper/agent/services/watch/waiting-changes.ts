/** A watch whose changes wait until somebody takes them. How many may wait is bounded: a client that reads slowly holds no memory. */
import type { FilePath } from "../files/paths.ts";
import type { ServiceFailure } from "../service-failure.ts";
import { DirectoryWatch, type Change } from "./directory-watch.ts";

const maxWaiting = 32_768;

export interface Taken {
  readonly changes: readonly Change[];
  /** More changed than could be kept: what is missing can only be found by looking. */
  readonly overflow: boolean;
}

export class WaitingChanges {
  readonly #watch: DirectoryWatch;
  #changes: Change[] = [];
  #overflow = false;
  #ended: { readonly failure: ServiceFailure | null } | null = null;
  #wake: (() => void) | null = null;

  /** Everything is watched when this returns. Throws a `ServiceFailure`. */
  constructor(root: FilePath, recursive: boolean) {
    this.#watch = new DirectoryWatch({
      root,
      recursive,
      changed: (change) => this.#keep(change),
      ended: (failure) => this.#over(failure),
    });
  }

  /** Set when nothing will come any more. `failure` null: the directory is gone, or the watch was closed. */
  get ended(): { readonly failure: ServiceFailure | null } | null {
    return this.#ended;
  }

  close(): void {
    this.#watch.close();
    this.#over(null);
  }

  /** Resolves when there is something to take, or nothing will come any more. */
  async some(): Promise<void> {
    if (this.#changes.length > 0 || this.#overflow || this.#ended !== null) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }

  /** Resolves when everything that the kernel has told so far can be taken. */
  settled(): Promise<void> {
    return this.#watch.settled();
  }

  take(): Taken {
    const taken = { changes: this.#changes, overflow: this.#overflow };
    this.#changes = [];
    this.#overflow = false;
    return taken;
  }

  #keep(change: Change): void {
    if (this.#changes.length >= maxWaiting) {
      this.#changes = [];
      this.#overflow = true;
    }
    this.#changes.push(change);
    this.#wake?.();
  }

  #over(failure: ServiceFailure | null): void {
    this.#ended ??= { failure };
    this.#wake?.();
  }
}
