/**
 * What was saved of a memory world's workspaces, and which names may never be saved again. "On disk", and of no host in
 * particular: no restart, reboot or destroy of a sandbox touches it.
 */
import { failed, succeeded, type ProviderResult } from "../../src/domain/state/failure.ts";
import type { SessionId } from "../../src/domain/state/ids.ts";

/** A workspace: contents by name. */
export type Files = Map<string, string>;

export type Repositories = ReadonlyMap<string, ReadonlyMap<string, Files>>;

type Kept = { readonly type: "saved"; readonly files: Files; readonly at: number } | { readonly type: "removed" };

export class SnapshotShelf {
  readonly #kept = new Map<string, Kept>();

  /** `files` null: there is no such workspace. The first save of a name is the one that counts. */
  save(session: SessionId, id: string, files: Files | null, at = 0): ProviderResult<{ readonly bytes: number }> {
    const known = this.#kept.get(nameOf(session, id));
    if (known?.type === "removed") return failed("refused_retired", `snapshot ${id} was removed`, "none");
    const source = known?.files ?? files;
    if (source === null) return failed("not_found", "there is no workspace to save", "none");
    if (known === undefined) this.#kept.set(nameOf(session, id), { type: "saved", files: new Map(source), at });
    return succeeded({ bytes: bytesOf(source) });
  }

  remove(session: SessionId, id: string): void {
    this.#kept.set(nameOf(session, id), { type: "removed" });
  }

  /** As in a bucket, whose writer is past its last look for the tombstone and ends before it takes its files back. */
  landLate(session: SessionId, id: string): void {
    this.#kept.set(nameOf(session, id), { type: "saved", files: new Map([["late.txt", "late"]]), at: 0 });
  }

  /** What lies under that name. */
  stored(session: SessionId, id: string): { readonly files: number; readonly bytes: number } {
    const known = this.#kept.get(nameOf(session, id));
    return known?.type === "saved" ? { files: 1, bytes: bytesOf(known.files) } : { files: 0, bytes: 0 };
  }

  /** A copy to begin with; null: nothing is saved under that name. */
  restored(session: SessionId, id: string): Files | null {
    const known = this.#kept.get(nameOf(session, id));
    return known?.type === "saved" ? new Map(known.files) : null;
  }

  /** Everything that is saved. */
  all(): readonly { readonly sessionId: SessionId; readonly name: string; readonly at: number }[] {
    return Array.from(this.#kept).flatMap(([key, kept]) => {
      const cut = key.indexOf("/");
      const named = { sessionId: key.slice(0, cut) as SessionId, name: key.slice(cut + 1) };
      return kept.type === "saved" ? [{ ...named, at: kept.at }] : [];
    });
  }

  /** The names that can be restored. */
  of(session: SessionId): readonly string[] {
    const begin = nameOf(session, "");
    const saved = Array.from(this.#kept).filter(([name, kept]) => name.startsWith(begin) && kept.type === "saved");
    return saved.map(([name]) => name.slice(begin.length));
  }
}

function nameOf(session: SessionId, id: string): string {
  return `${session}/${id}`;
}

function bytesOf(files: Files): number {
  return Array.from(files).reduce((sum, [name, text]) => sum + name.length + text.length, 0);
}
