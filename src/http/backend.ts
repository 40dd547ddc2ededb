/**
 * What the routes need from the rest of Mooring. The composition root supplies Durable Object stubs; unit tests supply an
 * in-process recording one.
 *
 * Object RPC rules live in `ask`: a stub is made for each call, because one that threw is broken for good; only reads are
 * sent again, once, and never to an overloaded object; an exception becomes a problem, never a bare 500.
 */
import type { SessionId, TenantId } from "../domain/state/ids.ts";
import type { Reply } from "../protocol/problem.ts";
import type { FleetControlApi } from "../fleet/control/control-api.ts";
import type { FleetOperations } from "../fleet/operations-api.ts";
import type { FleetShardApi } from "../fleet/shard/shard-api.ts";
import type { TenantApi } from "../tenant/tenant-api.ts";
import type { Logger } from "../runtime/clock-ids-logger.ts";
import type { SessionApi } from "../session/session-api.ts";

export interface Backend {
  /** A fresh stub. Costs nothing until it is called. */
  session(id: SessionId): SessionApi;
  /** The registry of one tenant. */
  tenant(tenant: TenantId): TenantApi;
  /** The index that holds this tenant's sessions. */
  shard(tenant: TenantId): FleetShardApi;
  /** All of the index, for what goes over every tenant. */
  shards(): readonly { readonly name: string; readonly api: FleetShardApi }[];
  control(): FleetControlApi;
  /** The orders over the whole fleet; they run in this Worker. */
  operations(): FleetOperations;
  /** The public keys of receipts, the signing one first. */
  receiptKeys(): Promise<readonly { readonly key_id: string; readonly public_key: string }[]>;
  /** A file of the Worker's own assets; null: there is none. */
  asset(path: string): Promise<ReadableStream<Uint8Array> | null>;
  /** What keeps Mooring from serving right now; empty when nothing does. Bounded in time, never throws. */
  missing(): Promise<readonly Missing[]>;
}

/** One reason why Mooring is not ready. */
export interface Missing {
  /** For anybody: no value of a var, no address. */
  readonly public: string;
  /** For the operator. */
  readonly detail: string;
  /** An operator wants it so: the fleet takes no new sessions. */
  readonly code?: "draining";
}

/** A reason that anybody may hear in full. */
export function plainly(text: string): Missing {
  return { public: text, detail: text };
}

export async function ask<T>(how: "read" | "write", log: Logger, call: () => Promise<Reply<T>>): Promise<Reply<T>> {
  try {
    return await call();
  } catch (error) {
    log.warn("object call failed", { how, error: briefly(error) });
    if (how === "write") return unavailable(writeLost);
    if (isOverloaded(error)) return unavailable(readLost);
  }
  try {
    return await call();
  } catch (error) {
    log.warn("object call failed again", { how, error: briefly(error) });
    return unavailable(readLost);
  }
}

const writeLost =
  "Mooring lost touch with this session before it answered, so the request may or may not have taken effect. " +
  "Read the session to see; a create may be repeated with the same Idempotency-Key, a job with the same id.";
const readLost = "This session could not be read just now; nothing was changed. Try again in a moment.";

function unavailable(detail: string): {
  readonly ok: false;
  readonly problem: { code: "unavailable"; detail: string };
} {
  return { ok: false, problem: { code: "unavailable", detail } };
}

function isOverloaded(error: unknown): boolean {
  return typeof error === "object" && error !== null && "overloaded" in error && error.overloaded === true;
}

/** Name and the head of the message; never the stack, which names our files. */
export function briefly(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message.slice(0, 200)}` : typeof error;
}
