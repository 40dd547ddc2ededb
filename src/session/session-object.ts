/**
 * The Durable Object of one session: hands the platform's storage, alarm and RPC to SessionCommands and adds nothing.
 * The constructor only reads; an id that was never created costs no row (API-12).
 */
import { DurableObject } from "cloudflare:workers";
import type { SessionId } from "../domain/ids.ts";
import type { CreateJob } from "../protocol/jobs.ts";
import type { CreateSession } from "../protocol/sessions.ts";
import { durableSql } from "../storage/durable-sql.ts";
import { ArmedAlarm } from "./armed-alarm.ts";
import { SessionCommands } from "./commands.ts";
import type { SessionPorts } from "./ports.ts";
import type { Caller, AttachOrder, EndOrder, Operator, Resolution, SessionApi } from "./session-api.ts";

/** What the composition root hands in: everything but what belongs to the object itself. */
export type SessionWiring = Omit<SessionPorts, "sql" | "alarm" | "eraseStorage">;

export function sessionObject<Env>(wire: (env: Env) => SessionWiring) {
  return class SessionObject extends DurableObject<Env> implements SessionApi {
    readonly #commands: SessionCommands;
    readonly #alarm: ArmedAlarm;

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      const { storage } = ctx;
      this.#alarm = new ArmedAlarm({
        get: () => storage.getAlarm(),
        // Not awaited: it joins the write it is called in, and the output gate holds every reply until that is through.
        set: (at) => void storage.setAlarm(at),
        clear: () => void storage.deleteAlarm(),
      });
      this.#commands = new SessionCommands({
        ...wire(env),
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

    create(id: SessionId, caller: Caller, body: CreateSession, requestHash: string | null, waitMs: number) {
      return this.#commands.create(id, caller, body, requestHash, waitMs);
    }
    get(caller: Caller) {
      return this.#commands.get(caller);
    }
    delete(caller: Caller, reason: "requested" | "operator") {
      return this.#commands.delete(caller, reason);
    }
    timeout(caller: Caller, kind: "timeout" | "refresh", seconds: number) {
      return this.#commands.timeout(caller, kind, seconds);
    }
    pause(caller: Caller, waitMs?: number) {
      return this.#commands.pause(caller, waitMs);
    }
    attach(caller: Caller, order: AttachOrder, waitMs: number) {
      return this.#commands.attach(caller, order, waitMs);
    }
    resume(caller: Caller, seconds: number | null, waitMs: number) {
      return this.#commands.resume(caller, seconds, waitMs);
    }
    rebuild(caller: Caller, waitMs: number) {
      return this.#commands.rebuild(caller, waitMs);
    }
    keepalive(caller: Caller) {
      return this.#commands.keepalive(caller);
    }
    interrupt(caller: Caller) {
      return this.#commands.interrupt(caller);
    }
    teardown(caller: Caller) {
      return this.#commands.teardown(caller);
    }
    usage(caller: Caller) {
      return this.#commands.usage(caller);
    }
    explain(caller: Caller | null) {
      return this.#commands.explain(caller);
    }
    resources(caller: Caller | null) {
      return this.#commands.resources(caller);
    }
    logs(caller: Caller | null, tailBytes: number) {
      return this.#commands.logs(caller, tailBytes);
    }
    events(caller: Caller, after: number, limit: number, waitMs: number) {
      return this.#commands.events(caller, after, limit, waitMs);
    }
    createJob(caller: Caller, body: CreateJob) {
      return this.#commands.createJob(caller, body);
    }
    jobs(caller: Caller, after: string | null, limit: number) {
      return this.#commands.jobs(caller, after, limit);
    }
    job(caller: Caller, id: string, waitMs: number) {
      return this.#commands.job(caller, id, waitMs);
    }
    cancelJob(caller: Caller, id: string) {
      return this.#commands.cancelJob(caller, id);
    }
    writeStdin(caller: Caller, id: string, bytes: Uint8Array, end: boolean) {
      return this.#commands.writeStdin(caller, id, bytes, end);
    }
    jobOutput(caller: Caller, id: string, offset: number) {
      return this.#commands.jobOutput(caller, id, offset);
    }
    end(order: EndOrder) {
      return this.#commands.end(order);
    }
    resolve(operator: Operator, resolution: Resolution, ifMatch: string) {
      return this.#commands.resolve(operator, resolution, ifMatch);
    }
    inspect() {
      return this.#commands.inspect();
    }
    reseal() {
      return this.#commands.reseal();
    }
    poke(actor: "maintenance" | "operator") {
      return this.#commands.poke(actor);
    }
  };
}
