/** A fleet in Node for tests of its layers and audits: real index, control, registry and memory provider on virtual time; the sessions are the test's own answers, and every call to one is recorded. */
import { createHash } from "node:crypto";
import type { ContainerId, InstanceId, SessionId, TenantId } from "../../src/domain/state/ids.ts";
import { defaultPolicy } from "../../src/domain/rules/policy.ts";
import type { ProviderName } from "../../src/domain/state/provider-names.ts";
import { type AuditTerms, auditTerms } from "../../src/fleet/audits/audit-ports.ts";
import { type CleanupTerms, cronCleanupTerms } from "../../src/fleet/layers/cleanup.ts";
import type { LayerPorts } from "../../src/fleet/layers/run-layers.ts";
import type { FleetShardApi } from "../../src/fleet/shard/shard-api.ts";
import { ShardIndex } from "../../src/fleet/shard/shard-index.ts";
import type { AgentSandbox } from "../../src/sandbox/agent-sandbox.ts";
import { memorySandbox } from "../memory/memory-sandbox.ts";
import { MemoryWorld } from "../memory/memory-world.ts";
import type { LogFields } from "../../src/runtime/clock-ids-logger.ts";
import type { SessionReport } from "../../src/session/reports/reports.ts";
import type { EndOrder, SessionApi } from "../../src/session/session-api.ts";
import { controlFace, tenantFace } from "./fleet-cores.ts";
import { nodeSql } from "./node-sql.ts";
import { born, lease, report } from "./reports.ts";
import { sampleSession } from "./sample-views.ts";
import { SeededRandom } from "./seeded-random.ts";
import { VirtualClock, VirtualTime } from "./virtual-time.ts";

export const acme = "acme" as TenantId;
const day = 86_400_000;
/** The one host of a memory world. */
export const memoryHost = "memory-host";

/** As RPC would: a whole answer, a refusal, an exception, or never. */
type Ends = (id: SessionId, order: EndOrder) => ReturnType<SessionApi["end"]>;
type Inspects = (id: SessionId) => ReturnType<SessionApi["inspect"]>;

export const hung = () => new Promise<never>(() => {});
export const noRecord: Inspects = async () => ({
  ok: false,
  problem: { code: "not_found", detail: "no such session" },
});
export const ending: Ends = async (id) => ({
  ok: true,
  value: { ended: true, why: "", session: sampleSession({ id, status: "terminating" }) },
});

export class FleetRig {
  readonly time = new VirtualTime(new SeededRandom(3));
  /** A day after the sessions of test/support/reports.ts were made: none of them is young. */
  readonly clock = new VirtualClock(this.time, born + day);
  readonly index = new ShardIndex(nodeSql(), this.clock);
  readonly control: ReturnType<typeof controlFace>;
  readonly registry = tenantFace(acme, this.clock, 1_000_000);
  readonly world = new MemoryWorld({ clock: this.clock });
  /** A test may take a capability away, or make it lie. */
  sandbox: AgentSandbox = memorySandbox(this.world, { clock: this.clock });
  readonly lines: { readonly message: string; readonly fields: LogFields }[] = [];
  readonly ended: { readonly id: SessionId; readonly order: EndOrder }[] = [];
  readonly poked: SessionId[] = [];
  ends: Ends = ending;
  /** What a session does when it is told to look. */
  pokes: (id: SessionId) => void = () => {};
  inspects: Inspects = noRecord;
  shard: Pick<FleetShardApi, "select" | "stats">;
  readonly ports: LayerPorts;
  readonly cleanupTerms: CleanupTerms = cronCleanupTerms(defaultPolicy);
  readonly auditTerms: AuditTerms = auditTerms(defaultPolicy, 60_000);
  #minted = 0;

  constructor(limit = 1_000) {
    this.control = controlFace(this.clock, limit);
    this.shard = {
      select: async (query) => this.index.select(query),
      stats: async () => this.index.stats(),
    };
    const note = (message: string, fields: LogFields = {}) => void this.lines.push({ message, fields });
    this.ports = {
      control: this.control,
      shards: [
        { name: "shard-0", api: { select: (query) => this.shard.select(query), stats: () => this.shard.stats() } },
      ],
      tenant: () => this.registry,
      index: () => ({ report: async (each) => this.index.report(each) }),
      session: (id) => ({
        inspect: () => this.inspects(id),
        poke: async () => {
          this.poked.push(id);
          this.pokes(id);
          return { known: true, nextDeadline: null };
        },
      }),
      end: (id, order) => {
        this.ended.push({ id, order });
        return this.ends(id, order);
      },
      digest: async (text) => createHash("sha256").update(text).digest("hex"),
      providers: { get: (name: ProviderName) => (name === "memory" ? this.sandbox : null), wired: ["memory"] },
      sweep: async () => ({ shards: [], sessions: [] }),
      clock: this.clock,
      ids: { id: () => `run${String((this.#minted += 1)).padStart(17, "0")}` },
      logger: { info: note, warn: note, error: note },
    };
  }

  /** The provider with some of its calls answered by the test; undefined: it has no such call. */
  alter(changes: Partial<Record<keyof AgentSandbox, unknown>>): void {
    const { sandbox } = this;
    this.sandbox = new Proxy(sandbox, {
      get(target, name) {
        if (Object.hasOwn(changes, name)) return changes[name as keyof AgentSandbox];
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    });
  }

  /** Time passes until it has an answer. */
  done<T>(promise: Promise<T>): Promise<T> {
    return this.time.until(promise);
  }

  /** Reported to the index and the registry, with a held lease unless `changes` say otherwise. */
  async known(id: SessionId, changes: Partial<SessionReport> = {}, version = 1): Promise<void> {
    const told = report(id, version, { leases: [lease(id, 1, "held")], lastActivityAt: this.clock.now(), ...changes });
    const words = { ...told, leases: told.leases.map((each) => ({ host: memoryHost, ...each })) };
    this.index.report(words);
    await this.registry.report(words);
    // As at its first reservation: the directory knows the tenant.
    await this.control.allow({ tenant: acme, version: Date.now() + version, held: 0, wants: 0 });
  }

  /** Real processes of the memory world, as session `id` would have started them. */
  async physical(id: SessionId, count = 1, container?: ContainerId): Promise<void> {
    const { generation, sandboxId } = lease(id, count, "held");
    const launched = await this.done(
      this.sandbox.launch(
        {
          ...{
            sessionId: id,
            sandboxId,
            generation,
            instanceId: `i-${sandboxId}` as InstanceId,
            secret: "s".repeat(64),
          },
          ...{ launchNotAfter: this.clock.now() + 60_000, leaseTtlMs: 300_000, jobGraceMs: 5_000, stopGraceMs: 10_000 },
          env: {},
          ...(container === undefined ? {} : { container }),
        },
        { timeoutMs: 60_000, signal: new AbortController().signal },
      ),
    );
    if (!launched.ok) throw new Error(launched.failure.message);
  }

  /** What lives in the world, by session. */
  alive(): readonly SessionId[] {
    return [...new Set(this.world.processes().map((process) => process.sessionId))];
  }

  said(message: string): boolean {
    return this.lines.some((line) => line.message === message);
  }
}
