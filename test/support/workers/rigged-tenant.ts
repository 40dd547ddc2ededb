/**
 * The real TenantObject over the world, the clock and the bounds of the rigged sessions, so that a test can end it in the
 * middle of a shared container's end and look at what is stored.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Container, ContainerWithMembers } from "../../../src/domain/state/container.ts";
import type { ContainerId, TenantId } from "../../../src/domain/state/ids.ts";
import type { Policy } from "../../../src/domain/rules/policy.ts";
import type { Env } from "../../../src/config/env.ts";
import type { SessionView } from "../../../src/protocol/resources/session/sessions.ts";
import { systemClock, systemIds } from "../../../src/wiring/system.ts";
import { quotaTerms } from "../../../src/tenant/quota/quota.ts";
import type { TenantApi } from "../../../src/tenant/tenant-api.ts";
import { tenantObject } from "../../../src/tenant/tenant-object.ts";
import { buildWithMemory } from "./composed.ts";
import { wireTenant } from "../../../src/wiring/wiring.ts";
import {
  calls,
  clock,
  policy,
  registryOf,
  Rigged,
  type RiggedSession,
  sandbox,
  seen,
  world,
} from "./rigged-session.ts";

const bindings = env as unknown as {
  readonly RIGGED: DurableObjectNamespace<RiggedSession>;
  readonly RIGGED_TENANTS: DurableObjectNamespace<RiggedTenant>;
};

/**
 * A call that hangs must still hang when the test ends the object in it, however busy the machine is. A function, because the
 * Worker under test may load this file before the one that `policy` is from.
 */
export function endPolicy(): Policy {
  return { ...policy, observeMs: 10_000, stopAttemptMs: 10_000 };
}

export class RiggedTenant extends tenantObject<Env>((wiring) => ({
  ...wireTenant(wiring, buildWithMemory),
  clock,
  ids: systemIds,
  terms: quotaTerms(endPolicy(), 50),
  logger: { info: () => {}, warn: () => {}, error: () => {} },
  providers: { get: (name) => (name === "memory" ? sandbox : null) },
  poke: (id) => bindings.RIGGED.get(bindings.RIGGED.idFromName(id)).poke("maintenance"),
  budgetSpent: (id) => bindings.RIGGED.get(bindings.RIGGED.idFromName(id)).tenantBudgetSpent(),
})) {}

let made = 0;

/** A tenant of its own, whose sessions share containers. */
export class Sharing {
  readonly name = `sharing-${(made += 1)}` as TenantId;

  get stub() {
    return bindings.RIGGED_TENANTS.get(bindings.RIGGED_TENANTS.idFromName(this.name));
  }

  get registry(): TenantApi {
    return registryOf(this.name);
  }

  /** A running member, and the container that it is in. */
  async member(): Promise<{ readonly session: Rigged; readonly container: ContainerId }> {
    const session = new Rigged(this.name);
    const begun = await session.create({ isolation: "shared", idle_timeout_seconds: null, timeout_seconds: 86_400 });
    if (!begun.ok) throw new Error(begun.problem.detail);
    const { status, container_id: container } = begun.value.body;
    if (status !== "running" || container == null) throw new Error(`it is ${status}`);
    return { session, container: container as ContainerId };
  }

  async end(session: Rigged): Promise<SessionView> {
    await session.api.delete(session.caller, "requested");
    return await session.driveTo("terminated");
  }

  async peopled(id: ContainerId): Promise<ContainerWithMembers> {
    const found = (await this.registry.containers(null, 100)).find(({ container }) => container.id === id);
    if (found === undefined) throw new Error(`there is no container ${id}`);
    return found;
  }

  async container(id: ContainerId): Promise<Container> {
    return (await this.peopled(id)).container;
  }

  storage<T>(look: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
    return runInDurableObject<RiggedTenant, T>(this.stub, (_, state) => look(state.storage));
  }

  alarm(): Promise<number | null> {
    return this.storage((storage) => storage.getAlarm());
  }

  /** Runs the alarm now, as the platform would. */
  async wake(): Promise<void> {
    await runDurableObjectAlarm(this.stub);
  }

  /** The incarnation ends without a word, whatever it was doing. */
  async crash(): Promise<void> {
    let ended = false;
    void runInDurableObject(this.stub, (_, state) => {
      ended = true;
      state.abort("ended by the test");
    }).catch(() => {});
    await seen(() => ended);
    await systemClock.sleep(5);
  }
}

export function callsAbout(id: ContainerId): readonly string[] {
  return calls.filter((call) => call.sessionId === null && call.container === id).map(({ op }) => op);
}

/** How often the world really ended it. */
export function destructions(id: ContainerId): number {
  return world.journal.since(0).filter((entry) => entry.type === "containerDestroyed" && entry.container === id).length;
}
