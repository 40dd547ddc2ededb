/**
 * What the Sandbox object of one container answers to the provider's adapter. Everything that crosses is plain data: across
 * object RPC errors lose their class and getters are gone, so nothing is thrown on purpose and nothing has methods.
 *
 * Every call has a time of its own (`timeoutMs`): the object gives up by itself, because nobody can call it off.
 */
import type { ProviderResult } from "../../domain/failure.ts";
import type { Generation, InstanceId, SandboxId, SessionId } from "../../domain/ids.ts";
import type { Residue } from "../../domain/observation.ts";
import type { Launched, LaunchOrder, Retired, SandboxLogs, SandboxResources, Stopped } from "../agent-sandbox.ts";

export interface ObjectAim {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  readonly generation: Generation;
  /** null: every instance of that generation. */
  readonly instanceId: InstanceId | null;
}

/** `answer` is what the object saw: it says `unknown` itself when it could not look. */
export interface ObjectLook {
  readonly host: string;
  readonly boot: string;
  readonly answer: "present" | "absent" | "unknown";
  readonly residue: readonly Residue[];
  readonly detail: string;
}

/** One request to the wrapper of an instance. `path` begins with a slash. */
export interface WrapperCall {
  readonly aim: ObjectAim & { readonly instanceId: InstanceId };
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Uint8Array | null;
  /** What the instance must show for the nonce of this request: only then a renewal counts as accepted. */
  readonly proof: string;
}

export interface SandboxObjectApi {
  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>>;
  /** Durable before it answers, and only once no launch of it is under way any more. */
  retire(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<Retired>>;
  /** Never wakes, starts or extends anything. */
  look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook>;
  /** The instance first, with its grace; then the container, when nobody else is in it. */
  stopInstance(aim: ObjectAim, graceMs: number, timeoutMs: number): Promise<ProviderResult<Stopped>>;
  /** The container of that generation, at once. Refused (`foreign_instance`) when it serves a newer one. */
  destroyInstance(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<null>>;
  /** Everything that is stored here goes, an hour later the tombstone too. Only when retired, and nothing runs. */
  erase(aim: ObjectAim): Promise<ProviderResult<null>>;
  /** `not sent` is `unavailable` without effect. The body of the reply is passed on as it comes. */
  callWrapper(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>>;
  save(aim: ObjectAim, snapshotId: string, timeoutMs: number): Promise<ProviderResult<{ readonly bytes: number }>>;
  readLogs(aim: ObjectAim, tailBytes: number, timeoutMs: number): Promise<ProviderResult<SandboxLogs>>;
  readResources(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<SandboxResources>>;
}
