/**
 * What a harness must provide so that the conformance kit can be run against a provider.
 *
 * Required: a fresh world for each check, with the provider, its controller's clock, and a way to let time pass. With
 * real processes `wait` sleeps and `settle` only awaits; over a virtual clock `wait` advances it and `settle` advances it
 * until the promise has settled. The world must keep real graces: a stop with grace G kills after G, not before.
 *
 * Optional (`can`): what the kit may do to the world behind the provider's back. A check that needs one that is missing
 * is reported as skipped under its name, so that nobody takes the run for more than it was.
 */
import type { SessionId } from "../../src/domain/state/ids.ts";
import type { TrafficKeys } from "../../src/protocol/sandbox/traffic.ts";
import type { AgentSandbox, InstanceRef } from "../../src/sandbox/agent-sandbox.ts";

export interface ProviderHarness {
  /** Nothing of any session runs in it, or nothing with an id that `sessionId` will give. */
  open(): Promise<ProviderWorld>;
}

export interface ProviderWorld {
  readonly provider: AgentSandbox;
  /** Another 20 lower-case alphanumerics each time. */
  sessionId(): SessionId;
  /** Epoch ms on the controller's clock. */
  now(): number;
  wait(ms: number): Promise<void>;
  settle<T>(promise: Promise<T>): Promise<T>;
  /** How its passes and proofs are made, in a world whose time is not real; absent: as everywhere. */
  readonly trafficKeys?: TrafficKeys;
  readonly jobs: JobCommands;
  readonly can: WorldPowers;
  /** Ends everything of this world. */
  close(): Promise<void>;
}

/** Command lines in the provider's own shell. */
export interface JobCommands {
  /** Writes `TEXT` and a newline, and succeeds. */
  echo(text: string): string;
  /** Ends with this exit code. */
  exit(code: number): string;
  /** Runs for a long time, and dies of TERM. */
  readonly sleep: string;
  /** Runs for a long time, and only KILL ends it. */
  readonly ignoreTerm: string;
  /** Leaves a long-running child in a session of its own, and runs on itself. */
  readonly fork: string;
  /** Copies its standard input to its output. */
  readonly cat: string;
}

export type FaultyCall = "launch" | "retire" | "observe" | "stop" | "save" | "remove" | "reclaim";
/** hang: never answers. error: fails before the effect. lost_reply: the effect, then no answer. malformed: answers nonsense. late: the effect, and the answer, after delayMs. */
export type FaultKind = "hang" | "error" | "lost_reply" | "malformed" | { readonly lateByMs: number };

export interface ForeignMarks {
  readonly sessionId: string;
  /** null: a legacy wrapper. */
  readonly instanceId: string | null;
  readonly generation: number | null;
  readonly ignoresTerm?: true;
}

/** Command lines about files of the workspace, in the provider's own shell. */
export interface FileCommands {
  /** Makes the file: `TEXT` and a newline. */
  write(name: string, text: string): string;
  /** Writes what is in it to the output. */
  read(name: string): string;
}

/** What lies beside each other where workspaces are made. */
export interface WorkspacePowers {
  /** Only the members of a shared container lie beside each other, while it runs: an isolated sandbox has a disk of its own. */
  readonly inOneContainer?: true;
  /** From now on nothing was touched for that much longer than before. The provider may be restarted for it. */
  readonly age: (ms: number) => Promise<void>;
  /** Whether there is a workspace of that name, seen without the provider. */
  readonly has: (name: string) => Promise<boolean>;
  /** Makes a directory of that name, with something in it, behind the provider's back. */
  readonly plant: (name: string) => Promise<void>;
}

/** A repository that a sandbox of this world can clone. */
export interface ContractRepository {
  readonly url: string;
  /** A ref of it; it holds one file that the command line `show` prints: `content`. */
  readonly ref: string;
  readonly show: string;
  readonly content: string;
  /** An address where there is none. */
  readonly nowhere: string;
}

export interface WorldPowers {
  /** There exactly when the provider declares `capabilities.snapshot`. */
  readonly snapshots?: FileCommands;
  /** What becomes of a saved archive behind the provider's back: some of its bytes change, or it is gone. */
  readonly spoilSnapshot?: (session: SessionId, name: string, how: "changed" | "gone") => Promise<void>;
  /** There exactly when the provider declares `capabilities.space`. */
  readonly workspaces?: WorkspacePowers;
  /** There exactly when the provider declares `capabilities.traffic`. */
  readonly traffic?: true;
  /** The agent is a real one: it serves files, processes, terminals and ports. The argv of a server that listens on this port (support/sandbox-server.ts). */
  readonly inside?: { readonly server: (port: number) => readonly string[]; readonly port: () => Promise<number> };
  /** With `inside`: an answer to `upgrade: websocket` carries its socket (support/upgrading-fetch.ts). */
  readonly webSockets?: true;
  /** There exactly when the provider declares `capabilities.shared`. */
  readonly containers?: true;
  /** What becomes of the filesystem under all workspaces. */
  readonly disk?: (state: "well" | "unmeasurable" | "read_only") => Promise<void>;
  /** Something runs from now on of which nobody can say whose it is. */
  readonly hideProcesses?: () => Promise<void>;
  /** A command line that leaves a child which hides: `env -i`, a session of its own, its parents gone. `count`: how many there are, whatever they hide. */
  readonly hiding?: { readonly command: string; readonly count: () => Promise<number> };
  /** As `hiding`, of a member of a shared container. A power of its own: a stand-in may catch there what escapes it elsewhere. */
  readonly hidingInShared?: { readonly command: string; readonly count: () => Promise<number> };
  readonly repository?: () => Promise<ContractRepository>;
  /** What the next call of this kind meets. */
  readonly disturb?: (call: FaultyCall, fault: FaultKind) => Promise<void>;
  /** The provider side forgets all it did not store. Resolves when it answers again, or while it is still scanning. */
  readonly restart?: (until: "ready" | "scanning") => Promise<void>;
  /** The provider side cannot be reached from now on. */
  readonly takeDown?: () => Promise<void>;
  /** Stops the wrapper as SIGSTOP does: it exists and answers nothing. */
  readonly freeze?: (instance: InstanceRef) => Promise<void>;
  /** A process that the provider did not start, with the marks of a wrapper. `isAlive` is the ground truth. */
  readonly startForeign?: (marks: ForeignMarks) => Promise<{ readonly isAlive: () => Promise<boolean> }>;
  /** Kills the wrapper, and lets something else answer where it listened, by the rules of the protocol but without the secret. */
  readonly impersonate?: (instance: InstanceRef) => Promise<void>;
  /** How many processes of that instance there are, counted without the provider. */
  readonly countProcesses?: (instance: InstanceRef) => Promise<number>;
}

export type Power = keyof WorldPowers;

/** A sentence of the port's contract as a plain function: it returns when the provider keeps it, and throws when not. */
export interface ProviderCheck {
  /** The guarantee, with the ids of the checklist that it shows. */
  readonly name: string;
  readonly needs: readonly Power[];
  readonly run: (world: ProviderWorld) => Promise<void>;
}
