/** The shared containers of one tenant. */
import type { ContainerResolution } from "../../domain/rules/container-exits.ts";
import type { AttemptResult, Container, StoppingContainer } from "../../domain/state/container.ts";
import type { AttemptId, ContainerId } from "../../domain/state/ids.ts";
import type { ContainerReply } from "../tenant-api.ts";
import type { TenantRows } from "../tenant-rows.ts";
import { beginAttempt, finishAttempt, resolveContainer, takeDue } from "./container-ends.ts";
import { containerById, containersAfter, earliestContainerLook, type ListedContainer } from "./containers.ts";

export class TenantContainers {
  readonly #rows: TenantRows;

  constructor(rows: TenantRows) {
    this.#rows = rows;
  }

  /** In the order of the id, strictly after `after`: those that are gone too, while their receipts are kept. */
  containers(
    after: ContainerId | null,
    limit: number,
    phase: Container["phase"] | null = null,
  ): readonly ListedContainer[] {
    return this.#rows.read((sql) => containersAfter(sql, after, limit, phase, this.#rows.terms.containers.policy), []);
  }

  container(id: ContainerId): ListedContainer | null {
    return this.#rows.read((sql) => containerById(sql, id, this.#rows.terms.containers.policy), null);
  }

  /** An operator's act on a container that was at `revision` when it was decided on; null: whatever it is by now. */
  resolve(id: ContainerId, order: ContainerResolution, revision: number | null): ContainerReply {
    return this.#rows.write((sql, now) => resolveContainer(sql, id, order, revision, this.#rows.terms.containers, now));
  }

  /** True when something of a container is due now. */
  due(): boolean {
    return this.#rows.read((sql) => (earliestContainerLook(sql) ?? Infinity) <= this.#rows.now(), false);
  }

  /** The containers whose next attempt is due. An attempt that did not report back within its bound is abandoned first. */
  takeDue(jitter: () => number, limit: number): readonly StoppingContainer[] {
    return this.#rows.write((sql, now) => takeDue(sql, jitter, limit, this.#rows.terms.containers, now));
  }

  /** null: no attempt is due. Stored, with its deadline, before anything is asked of a provider. */
  beginAttempt(id: ContainerId, attemptId: AttemptId): StoppingContainer | null {
    return this.#rows.write((sql, now) => beginAttempt(sql, id, attemptId, this.#rows.terms.containers, now));
  }

  /** The container after this attempt; null: the attempt was abandoned before, and changes nothing. */
  attemptFinished(id: ContainerId, result: AttemptResult): Container | null {
    return this.#rows.write((sql, now) => finishAttempt(sql, id, result, this.#rows.terms.containers, now));
  }
}
