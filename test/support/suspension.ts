/** What the tests of pause, resume and rebuild do to a session's rig, in a client's words. */
import type { CreateSession, SessionView } from "../../src/protocol/resources/session/sessions.ts";
import type { Call, Fault } from "../memory/fault-plan.ts";
import type { JournalEntry } from "../memory/journal.ts";
import { caller, type SessionRig } from "./session-rig.ts";

/** Long enough for a drain, a save and a stop when nothing is in the way. */
export const aWhile = 10_000;

/** What one op meets from here on. */
export function always(op: Call["op"], fault: Fault): (call: Call) => Fault {
  return (call) => (call.op === op ? fault : { type: "none" });
}

/** What the next call of one op meets. */
export function once(op: Call["op"], fault: Fault): (call: Call) => Fault {
  let armed = true;
  return (call) => {
    if (!armed || call.op !== op) return { type: "none" };
    armed = false;
    return fault;
  };
}

/** A job's output, once it has ended. */
export async function ran(rig: SessionRig, command: string): Promise<string> {
  const asked = await rig.commands.createJob(caller, { command });
  if (!asked.ok) throw new Error(asked.problem.detail);
  for (let tries = 0; tries < 20; tries += 1) {
    await rig.pass(2_000);
    const job = await rig.job(asked.value.job.id);
    if (job.ended_at !== null) return job.output_tail ?? "";
  }
  throw new Error(`${command} did not end`);
}

export async function pause(rig: SessionRig): Promise<SessionView> {
  const asked = await rig.commands.pause(caller, 0);
  if (!asked.ok) throw new Error(asked.problem.detail);
  return asked.value.body;
}

/** Running with one file, then paused. */
export async function pausedWith(rig: SessionRig, text: string, body: CreateSession = {}): Promise<SessionView> {
  await rig.running(body);
  await ran(rig, `write notes.txt ${text}`);
  await pause(rig);
  await rig.pass(aWhile);
  return rig.view();
}

export async function told(rig: SessionRig): Promise<readonly string[]> {
  const events = await rig.commands.events(caller, 0, 1_000, 0);
  if (!events.ok) throw new Error(events.problem.detail);
  return events.value.map((event) => event.type);
}

/** The snapshots of it that could be restored now. */
export function savedOf(rig: SessionRig): readonly string[] {
  return rig.rig.world.snapshots.of(rig.id);
}

export function journalOf<T extends JournalEntry["type"]>(
  rig: SessionRig,
  type: T,
): readonly Extract<JournalEntry, { type: T }>[] {
  return rig.rig.world.journal
    .since(0)
    .filter((entry): entry is Extract<JournalEntry, { type: T }> => entry.type === type);
}
