/** Audits while everything goes wrong: a plan is made, and applied as it is. What it claims must be true, and it must end nothing that lives. */
import type { Ids } from "../../../src/runtime/clock-ids-logger.ts";
import { applyPlan } from "../../../src/fleet/audits/apply-plan.ts";
import { auditTerms, type AuditPorts } from "../../../src/fleet/audits/audit-ports.ts";
import { makePlan } from "../../../src/fleet/audits/make-plan.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import type { SessionApi } from "../../../src/session/session-api.ts";
import type { TenantId } from "../../../src/domain/state/ids.ts";
import type { VirtualClock } from "../../support/virtual-time.ts";
import type { SimFleet } from "../objects/sim-fleet.ts";
import type { TenantFace } from "../objects/sim-tenant.ts";
import type { SessionWatch } from "../checks/session-watch.ts";
import type { SimNet } from "./sim-net.ts";
import type { SimPlan } from "./sim-plan.ts";
import type { Trace } from "./trace.ts";

export interface AuditDependencies {
  readonly plan: SimPlan;
  readonly clock: VirtualClock;
  readonly ids: Ids;
  readonly net: SimNet;
  readonly trace: Trace;
  readonly fleet: SimFleet;
  readonly sandbox: AgentSandbox;
  readonly tenant: <T>(method: (face: TenantFace) => Promise<T>) => Promise<T>;
  readonly session: (id: string) => SessionWatch | undefined;
}

export class SimAudit {
  readonly #world: AuditDependencies;
  readonly #ports: AuditPorts;

  constructor(world: AuditDependencies) {
    this.#world = world;
    this.#ports = this.#portsOf(world);
  }

  async run(): Promise<void> {
    const { plan, trace } = this.#world;
    const terms = auditTerms(plan.policy, 60_000);
    try {
      const made = await makePlan(this.#ports, terms, "sim");
      trace.note("audit", () => `${made.findings.length} findings: ${JSON.stringify(made.findings)}`);
      const order = { planId: made.id, hash: made.hash, by: "sim" };
      const applied = await applyPlan(this.#ports, terms, order);
      trace.note("audit", () => JSON.stringify(applied.ok ? applied.value.items : applied.problem));
    } catch (error) {
      // A registry that does not answer: the next one finds it again.
      trace.note("audit", () => String(error));
    }
  }

  #portsOf({ clock, ids, net, trace, fleet, sandbox, tenant, session }: AuditDependencies): AuditPorts {
    const call = <T>(what: string, send: () => Promise<T>): Promise<T> => net.call(`audit ${what}`, null, send);
    const { control, index } = fleet;
    const say = (level: string) => (message: string, fields?: object) =>
      trace.note("audit", () => `${level} ${message} ${JSON.stringify(fields ?? {})}`);
    const asked = <T>(id: string, method: (api: SessionApi) => Promise<T>): Promise<T> => {
      const watch = session(id);
      if (watch === undefined) return Promise.reject(new Error("no such object"));
      return call("session", () => watch.object.call(method));
    };
    return {
      control: {
        tenants: async (after: TenantId | null, limit: number) => control.tenants(after, limit),
        putDocument: async (document) => control.putDocument(document),
        document: async (kind, id) => control.document(kind, id),
        putRun: async (run) => control.putRun(run),
      },
      shards: [{ name: "shard", api: { select: async (query) => index.select(query) } }],
      tenant: () => ({
        open: (...args) => call("open", () => tenant((face) => face.open(...args))),
        reports: (...args) => call("reports", () => tenant((face) => face.reports(...args))),
        sessions: (...args) => call("sessions", () => tenant((face) => face.sessions(...args))),
        forgottenSnapshots: (...args) => call("forgotten", () => tenant((face) => face.forgottenSnapshots(...args))),
        unreleasedSnapshots: (...args) =>
          call("kept snapshots", () => tenant((face) => face.unreleasedSnapshots(...args))),
        report: (report) => call("report", () => tenant((face) => face.report(report))),
        cancelReservation: (...args) => call("cancel", () => tenant((face) => face.cancelReservation(...args))),
      }),
      index: () => ({ report: async (report) => index.report(report) }),
      session: (id) => ({
        inspect: () => asked(id, (api) => api.inspect()),
        poke: (actor) => asked(id, (api) => api.poke(actor)),
      }),
      digest: (text) => Promise.resolve(digestOf(text)),
      providers: { get: (name) => (name === "memory" ? sandbox : null), wired: ["memory"] },
      clock,
      ids,
      logger: { info: say("info"), warn: say("warn"), error: say("error") },
    };
  }
}

/** A real digest would come from a thread, at an instant that no seed decides. */
function digestOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return hash.toString(16).padStart(64, "0");
}
