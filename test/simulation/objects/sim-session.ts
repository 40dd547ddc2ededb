/** A session's object in the simulation: the real SessionCommands over dark-going ports, and what src/session/session-object.ts adds. */
import { instantTrafficKeys } from "../../support/instant-traffic-keys.ts";
import type { SessionId } from "../../../src/domain/state/ids.ts";
import type { Policy } from "../../../src/domain/rules/policy.ts";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import type { Ids, Logger } from "../../../src/runtime/clock-ids-logger.ts";
import { ArmedAlarm } from "../../../src/session/armed-alarm.ts";
import { SessionCommands } from "../../../src/session/commands/commands.ts";
import { Trace } from "../../../src/session/trace.ts";
import type { IndexPort, TenantPort } from "../../../src/session/reports/reports.ts";
import { Crashed } from "../../support/incarnation.ts";
import { instantSeals } from "../../support/instant-seals.ts";
import { SimStorage } from "./sim-storage.ts";
import { SimObject, type ObjectDependencies } from "./sim-object.ts";

export interface SessionDependencies extends ObjectDependencies {
  readonly policy: Policy;
  readonly ids: Ids;
  readonly sandbox: AgentSandbox;
  readonly tenant: TenantPort;
  readonly index: IndexPort;
  /** Its database has its tables from the start. */
  readonly usedTables: boolean;
  /** The keys that rows are sealed with, the newest first, as they are configured now. */
  readonly keys: () => readonly string[];
}

export type SessionObjectSim = SimObject<SessionCommands>;

export function simSession(id: SessionId, world: SessionDependencies): SessionObjectSim {
  const itsStorage = new SimStorage("session", world.usedTables);
  return new SimObject<SessionCommands>(id.slice(0, 6), itsStorage, world, (storage, life) => {
    const sandbox = life.port("provider", world.sandbox);
    const tenant = life.port("tenant", world.tenant);
    const index = life.port("index", world.index);
    const log = (level: string) => (message: string, fields?: object) => {
      if (life.alive) world.trace.note(id.slice(0, 6), () => `${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
    const logger: Logger = { info: log("info"), warn: log("warn"), error: log("error") };
    const whileAlive = (act: () => void) => {
      if (!life.alive) throw new Crashed();
      act();
    };
    const alarm = new ArmedAlarm(
      {
        get: () => Promise.resolve(storage.alarmAt),
        set: (at) => whileAlive(() => storage.setAlarm(at)),
        clear: () => whileAlive(() => storage.setAlarm(null)),
      },
      world.clock,
    );
    const commands = new SessionCommands({
      sql: life.sql(storage),
      seals: instantSeals(world.keys()),
      trace: new Trace({ secret: () => "0".repeat(64) }),
      clock: life.clock(world.clock),
      ids: world.ids,
      logger,
      policy: world.policy,
      providers: { get: (name) => (name === "memory" ? sandbox : null) },
      defaultProvider: "memory",
      gitSchemes: ["https"],
      trafficKeys: instantTrafficKeys,
      defaultNetwork: { mode: "open" },
      tenant: () => tenant,
      index: () => index,
      alarm,
      eraseStorage: () => {
        whileAlive(() => {
          alarm.erased();
          storage.erase();
        });
        return Promise.resolve();
      },
    });
    return {
      api: commands,
      alarm: () => {
        alarm.fired();
        return commands.engine.wake("alarm");
      },
    };
  });
}
