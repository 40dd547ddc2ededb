/**
 * The Durable Object of one session: hands the platform's storage, alarm and RPC to SessionCommands and adds nothing.
 * The constructor only reads; an id that was never created costs no row.
 */
import { DurableObject } from "cloudflare:workers";
import { durableSql } from "../storage/durable-sql.ts";
import { forwardMethods, type Implementing } from "../storage/forward-methods.ts";
import { ArmedAlarm } from "./armed-alarm.ts";
import { answeredBy, SessionCommands } from "./commands/commands.ts";
import type { SessionPorts } from "./ports.ts";
import type { SessionApi } from "./session-api.ts";

/** What the composition root hands in: everything but what belongs to the object itself. */
export type SessionWiring = Omit<SessionPorts, "sql" | "alarm" | "eraseStorage">;

export function sessionObject<Env>(wire: (env: Env) => SessionWiring) {
  class SessionObject extends DurableObject<Env> {
    static {
      forwardMethods<SessionObject, SessionApi, typeof answeredBy>(
        this.prototype,
        answeredBy,
        (self) => self.#commands.handlers,
      );
    }

    readonly #commands: SessionCommands;
    readonly #alarm: ArmedAlarm;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      const { storage } = ctx;
      const wiring = wire(env);
      const platform = {
        get: () => storage.getAlarm(),
        // Not awaited: it joins the write it is called in, and the output gate holds every reply until that is through.
        set: (at: number) => void storage.setAlarm(at),
        clear: () => void storage.deleteAlarm(),
      };
      this.#alarm = new ArmedAlarm(platform, wiring.clock);
      this.#commands = new SessionCommands({
        ...wiring,
        sql: durableSql(storage),
        alarm: this.#alarm,
        eraseStorage: async () => {
          this.#alarm.erased();
          await storage.deleteAll();
        },
      });
    }

    override async alarm(): Promise<void> {
      this.#alarm.fired();
      await this.#commands.engine.wake("alarm");
    }
  }
  return SessionObject as unknown as Implementing<typeof SessionObject, SessionApi>;
}
