/** Whose a session is, which never changes: kept in this isolate, so that a signed address costs one question. */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { Backend } from "../backend.ts";

/** Some fifty bytes each; the oldest go first. */
const ownersKept = 1_000;

export class OwnerCache {
  readonly #backend: Pick<Backend, "session">;
  readonly #owners = new Map<SessionId, TenantId>();

  constructor(backend: Pick<Backend, "session">) {
    this.#backend = backend;
  }

  /** null: there is no such session, or it could not be asked: then nothing opens either. */
  async of(id: SessionId): Promise<TenantId | null> {
    const known = this.#owners.get(id);
    if (known !== undefined) return known;
    const owner = await this.#backend
      .session(id)
      .owner()
      .catch(() => null);
    if (owner === null) return null;
    this.#owners.set(id, owner);
    const [oldest] = this.#owners.keys();
    if (this.#owners.size > ownersKept && oldest !== undefined) this.#owners.delete(oldest);
    return owner;
  }
}
