/**
 * What the Sandbox object of one container answers to the provider's adapter. Only plain data crosses: over object RPC
 * errors lose their class and getters are gone, so nothing is thrown on purpose and nothing has methods.
 *
 * Every call carries its own time (`timeoutMs`), after which the object gives up by itself, because nobody can cancel
 * the call.
 */
import type { ProviderResult } from "../../domain/state/failure.ts";
import type { ContainerId, Generation, InstanceId, SandboxId, SessionId } from "../../domain/state/ids.ts";
import type { DeniedHost } from "../../domain/state/network.ts";
import type { Containment, Residue } from "../../domain/state/observation.ts";
import type {
  Capacity,
  Launched,
  LaunchOrder,
  NetworkRules,
  SandboxLocation,
  Reclaimed,
  Retired,
  SandboxLogs,
  SandboxResources,
  Stopped,
} from "../agent-sandbox.ts";

export interface ObjectAim {
  readonly sessionId: SessionId;
  readonly sandboxId: SandboxId;
  /** The shared container that this sandbox is a member of. The object is then that container's. */
  readonly container?: ContainerId;
  readonly generation: Generation;
  /** null: every instance of that generation. */
  readonly instanceId: InstanceId | null;
}

/** `answer` is what the object saw; it is `unknown` when the object could not look. */
export interface ObjectLook {
  readonly host: string;
  readonly boot: string;
  readonly answer: "present" | "absent" | "unknown";
  readonly residue: readonly Residue[];
  readonly detail: string;
  /** How far the answer reaches. Absent in answers of objects that are older than shared containers. */
  readonly containment?: Containment | undefined;
}

/** One request to the wrapper of an instance. `path` begins with a slash. */
export interface WrapperCall {
  readonly aim: ObjectAim & { readonly instanceId: InstanceId };
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Uint8Array | null;
  /** The proof that the instance must show for the nonce of this request. A renewal counts as accepted only with it. */
  readonly proof: string;
}

/** `web`: connections of other kinds than HTTP and HTTPS follow only at the next start. */
export interface NetworkChanged {
  readonly enforced: "all" | "web";
}

/** The calls of an object whose container can be kept from the network. */
export interface NetworkObjectApi {
  changeNetwork(aim: ObjectAim, rules: NetworkRules): Promise<ProviderResult<NetworkChanged>>;
  /** Refusals counted since the last such call. */
  denied(): Promise<ProviderResult<readonly DeniedHost[]>>;
  noteDenied(host: string): Promise<void>;
}

export interface SandboxObjectApi {
  launch(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>>;
  /**
   * Launches into a shared container. A method of its own, so that an older object cannot take the order for an
   * unshared container.
   */
  launchMember(order: LaunchOrder, timeoutMs: number): Promise<ProviderResult<Launched>>;
  /** Durable before it answers, and it answers only once no launch of that sandbox is under way any more. */
  retire(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<Retired>>;
  /** Never wakes, starts or extends anything. */
  look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook>;
  /**
   * Ends the instance first, with its grace; then the container, if it is that sandbox's own and nobody else is in it.
   */
  stopInstance(aim: ObjectAim, graceMs: number, timeoutMs: number): Promise<ProviderResult<Stopped>>;
  /**
   * Deletes all stored data; the tombstone is deleted an hour later. For a member of a shared container: only its
   * workspace and seat. Refused unless the sandbox is retired and nothing runs.
   */
  erase(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<null>>;
  /** A request that was not sent is `unavailable` without effect. The body of the reply is passed on as it comes. */
  callWrapper(call: WrapperCall, timeoutMs: number): Promise<ProviderResult<Response>>;
  /**
   * Traffic with a pass (protocol/sandbox/traffic.ts), and nothing else. It neither starts the container nor counts as
   * activity. A `fetch` and not an RPC call, because only a `fetch` carries WebSockets and bodies with backpressure.
   */
  fetch(request: Request): Promise<Response>;
  save(aim: ObjectAim, snapshotId: string, timeoutMs: number): Promise<ProviderResult<{ readonly bytes: number }>>;
  readLogs(aim: ObjectAim, tailBytes: number, timeoutMs: number): Promise<ProviderResult<SandboxLogs>>;
  readResources(aim: ObjectAim, timeoutMs: number): Promise<ProviderResult<SandboxResources>>;
  /** No launch of any member begins after this. */
  retireContainer(timeoutMs: number): Promise<ProviderResult<Retired>>;
  lookAtContainer(timeoutMs: number): Promise<ObjectLook>;
  /** Refused (`invalid`) unless retired. */
  destroyContainer(timeoutMs: number): Promise<ProviderResult<null>>;
  /** Neither starts anything. */
  inspectCapacity(location: SandboxLocation, timeoutMs: number): Promise<ProviderResult<Capacity>>;
  reclaim(location: SandboxLocation, timeoutMs: number): Promise<ProviderResult<Reclaimed>>;
}
