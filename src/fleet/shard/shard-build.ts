/**
 * Builds a shard's rows from the tenants' registries: when it was never built (new, or its storage was lost), when it was
 * built for another number of shards (its tenants are others now), and when an operator asks.
 *
 * Resumable at every page: the place is stored with the rows of the page. Reports that come meanwhile are newer than what a
 * registry says and stay. Until it is done the shard answers no list and no count: a short page would be a lie.
 */
import type { SessionId, TenantId } from "../../domain/state/ids.ts";
import type { Clock } from "../../runtime/clock-ids-logger.ts";
import type { TenantApi } from "../../tenant/tenant-api.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { FleetControlApi } from "../control/control-api.ts";
import type { ShardBuild } from "./shard-api.ts";
import type { ShardIndex } from "./shard-index.ts";
import { shardName } from "./shard-name.ts";

export interface BuildPorts {
  readonly control: Pick<FleetControlApi, "tenants">;
  tenant(tenant: TenantId): Pick<TenantApi, "reports" | "counts">;
  readonly clock: Clock;
}

export interface BuildTerms {
  /** FLEET_SHARDS. */
  readonly shards: number;
}

const tenantsAtOnce = 500;
/** A report is about a kilobyte. */
const reportsAtOnce = 500;
const callMs = 10_000;
/** How long a caller may be kept waiting for its list while the rows are built; the alarm goes on after that. */
const inlineMs = 5_000;

export class ShardBuilder {
  readonly #index: ShardIndex;
  readonly #ports: BuildPorts;
  readonly #terms: BuildTerms;
  readonly #name: () => string;
  #work: Promise<void> | null = null;
  /** Nothing to build and nothing written: known for this incarnation only. */
  #nothing = false;

  constructor(index: ShardIndex, ports: BuildPorts, terms: BuildTerms, name: () => string) {
    this.#index = index;
    this.#ports = ports;
    this.#terms = terms;
    this.#name = name;
  }

  get built(): boolean {
    if (this.#index.untouched) return this.#nothing;
    const state = this.#index.build();
    return state !== null && state.builtAt !== null && state.shards === this.#terms.shards;
  }

  /** Rejects while the rows are not all there. */
  async ensure(): Promise<void> {
    if (this.built) return;
    await this.work();
    if (!this.built) throw new Error(`${this.#name()} is still being built from the registries`);
  }

  /** `distrust`: an operator asks, because the rows are wrong. */
  start(distrust: boolean): void {
    this.#nothing = false;
    const { shards } = this.#terms;
    this.#index.beginBuild(shards, (tenant) => shardName(tenant, shards) === this.#name(), distrust);
  }

  /** Goes on for some seconds at most. Rejects when a registry or control does not answer: the place is kept. */
  work(): Promise<void> {
    this.#work ??= this.#run().finally(() => (this.#work = null));
    return this.#work;
  }

  describe(): ShardBuild {
    const { shards } = this.#terms;
    const state = this.#index.build();
    const sessions = this.#index.sessionCount();
    if (state === null) return { type: "building", shards, since: this.#ports.clock.now(), sessions };
    if (state.builtAt === null) return { type: "building", shards, since: state.since, sessions };
    return { type: "built", shards: state.shards, at: state.builtAt, sessions };
  }

  async #run(): Promise<void> {
    const endsAt = this.#ports.clock.now() + inlineMs;
    if (this.#index.untouched && (await this.#hasNoTenant())) {
      this.#nothing = true;
      return;
    }
    const state = this.#index.build();
    if (state === null || state.shards !== this.#terms.shards) this.start(false);
    for (;;) {
      const at = this.#index.build();
      if (at === null || at.builtAt !== null) return;
      if (this.#ports.clock.now() >= endsAt) return;
      await this.#step(at.tenant, at.session);
    }
  }

  /** One page of the tenant under way, or the next tenant's first, or the end. */
  async #step(tenant: string, session: string): Promise<void> {
    if (tenant !== "" && session !== "~") return await this.#page(tenant as TenantId, session as SessionId);
    const next = await this.#nextTenant(tenant === "" ? null : (tenant as TenantId));
    if (next === null) this.#index.finishBuild();
    else await this.#page(next, null);
  }

  async #page(tenant: TenantId, after: SessionId | null): Promise<void> {
    const api = this.#ports.tenant(tenant);
    const reports = await this.#answer(`the registry of ${tenant}`, () => api.reports(after, reportsAtOnce));
    const last = reports.length < reportsAtOnce ? null : (reports.at(-1)?.sessionId ?? null);
    const counts = last === null ? await this.#answer(`the registry of ${tenant}`, () => api.counts()) : null;
    this.#index.restore(tenant, reports, counts, last);
  }

  async #hasNoTenant(): Promise<boolean> {
    return (await this.#nextTenant(null)) === null;
  }

  /** The next tenant that belongs to this shard. */
  async #nextTenant(after: TenantId | null): Promise<TenantId | null> {
    let from = after;
    for (;;) {
      const page = await this.#answer("FleetControl", () => this.#ports.control.tenants(from, tenantsAtOnce));
      const mine = page.find((entry) => shardName(entry.tenant, this.#terms.shards) === this.#name());
      if (mine !== undefined) return mine.tenant;
      const last = page.at(-1);
      if (last === undefined || page.length < tenantsAtOnce) return null;
      from = last.tenant;
    }
  }

  async #answer<T>(who: string, call: () => Promise<T>): Promise<T> {
    const outcome = await outcomeWithin(this.#ports.clock, callMs, call);
    if (outcome.type === "answered") return outcome.value;
    throw new Error(`${who} did not answer: ${outcome.type === "failed" ? outcome.message : "no answer in time"}`);
  }
}
