/** The tenant's object in the simulation: the real TenantCore, and the alarm that src/tenant/tenant-object.ts puts around it. */
import type { SessionId } from "../../src/domain/ids.ts";
import type { Clock } from "../../src/session/ambient.ts";
import { over } from "../../src/session/bounded.ts";
import type { TenantPort } from "../../src/session/reports.ts";
import type { Reservation } from "../../src/tenant/reservations.ts";
import type { QuotaTerms } from "../../src/tenant/quota.ts";
import { TenantCore } from "../../src/tenant/tenant-core.ts";
import { SimStorage } from "./sim-storage.ts";
import { SimObject, type ObjectSurroundings } from "./sim-object.ts";

/** As in tenant-object.ts. */
const pokesAtOnce = 6;
const pokeBoundMs = 10_000;
const alarmFallbackMs = 60_000;

export interface TenantFace extends TenantPort {
  readonly core: TenantCore;
}

export function simTenant(
  world: ObjectSurroundings & { readonly usedTables: boolean },
  terms: QuotaTerms,
  poke: (session: SessionId) => Promise<{ readonly known: boolean }>,
): SimObject<TenantFace> {
  return new SimObject<TenantFace>("tenant", new SimStorage("tenant", world.usedTables), world, (storage, life) => {
    const clock: Clock = life.clock(world.clock);
    const core = new TenantCore(life.sql(storage), clock, terms);
    const armed = <T>(body: () => T): Promise<T> => {
      try {
        const answer = body();
        const next = core.nextLook();
        if (next !== null && (storage.alarmAt === null || next < storage.alarmAt)) storage.setAlarm(next);
        return Promise.resolve(answer);
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    async function ask(reservation: Reservation): Promise<void> {
      const answered = new AbortController();
      const answer = await Promise.race([
        poke(reservation.sessionId).catch(() => null),
        clock.sleep(pokeBoundMs, answered.signal).then(() => null),
      ]);
      answered.abort(over);
      if (answer?.known === false) core.sessionVanished(reservation);
    }
    return {
      api: {
        core,
        reserve: (order) => armed(() => core.reserve(order)),
        cancelReservation: (session, generation) => armed(() => core.cancelReservation(session, generation)),
        report: (report) => armed(() => core.report(report)),
      },
      async alarm() {
        storage.setAlarm(clock.now() + alarmFallbackMs);
        try {
          core.prune();
          await Promise.all(core.takeOverdue(pokesAtOnce).map(ask));
          const next = core.nextLook();
          storage.setAlarm(next === null ? null : Math.max(next, clock.now() + 1_000));
        } catch {
          // The fallback stands.
        }
      },
    };
  });
}
