/** The tenant's object in the simulation: the very class that is deployed, over a simulated storage, with ports that go dark. */
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { AllowancePort } from "../../../src/fleet/control/control-api.ts";
import type { CountsPort } from "../../../src/fleet/shard/shard-api.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import type { Ids, Logger } from "../../../src/runtime/clock-ids-logger.ts";
import type { QuotaTerms } from "../../../src/tenant/quota/quota.ts";
import { tenantObject } from "../../../src/tenant/tenant-object.ts";
import type { TenantWiring } from "../../../src/tenant/tenant-wiring.ts";
import { instantSeals } from "../../support/instant-seals.ts";
import { durableState } from "./durable-state.ts";
import { SimObject, type ObjectDependencies } from "./sim-object.ts";
import { SimStorage } from "./sim-storage.ts";

export interface TenantDependencies extends ObjectDependencies {
  readonly usedTables: boolean;
  readonly terms: QuotaTerms;
  readonly ids: Ids;
  readonly sandbox: AgentSandbox;
  readonly control: AllowancePort;
  readonly counts: CountsPort;
  readonly poke: (session: SessionId) => Promise<{ readonly known: boolean }>;
  readonly budgetSpent: (session: SessionId) => Promise<{ readonly known: boolean }>;
}

const TenantObject = tenantObject<TenantWiring>((wiring) => wiring);
export type TenantFace = InstanceType<typeof TenantObject>;

export function simTenant(name: string, world: TenantDependencies): SimObject<TenantFace> {
  return new SimObject<TenantFace>("tenant", new SimStorage("tenant", world.usedTables), world, (storage, life) => {
    const sandbox = life.port("provider", world.sandbox);
    const control = life.port("control", world.control);
    const counts = life.port("index", world.counts);
    const log = (level: string) => (message: string, fields?: object) => {
      if (life.alive) world.trace.note("tenant", () => `${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
    const logger: Logger = { info: log("info"), warn: log("warn"), error: log("error") };
    const wiring: TenantWiring = {
      control,
      index: () => counts,
      terms: world.terms,
      clock: life.clock(world.clock),
      ids: world.ids,
      logger,
      providers: { get: (provider) => (provider === "memory" ? sandbox : null) },
      poke: (session) => world.poke(session),
      budgetSpent: (session) => world.budgetSpent(session),
      // Virtual time cannot wait for WebCrypto; that signatures verify is the unit tests' business.
      sign: async (statement) => ({
        statement,
        hash: String(statement.sequence).padStart(64, "0"),
        key_id: "simulated",
        signature: "",
      }),
      webhooks: {
        seals: instantSeals(),
        ids: world.ids,
        terms: { allowPrivate: false, disableAfterMs: 1_000 },
        events: () => Promise.reject(new Error("nobody listens")),
        post: () => Promise.resolve({ status: 200, error: null, retryAfterMs: null, ms: 1 }),
      },
    };
    const face = new TenantObject(durableState(name, storage, life), wiring);
    return { api: face, alarm: () => face.alarm() };
  });
}
