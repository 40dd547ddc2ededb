/**
 * A session that a command created for itself. However the command ends (success, an error, Ctrl-C), the session is
 * ended, and the command waits for the proof that nothing of it is left.
 *
 * The create is never aborted: the session might exist all the same, and nobody would know its id to end it.
 */
import { isProblem, type CreateSession, type Session, type Teardown } from "../../client/mooring.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { CliFault } from "../fault.ts";
import { startProgress } from "../screen/spinner.ts";
import { span } from "../screen/times.ts";

/** A stop takes seconds: its grace and two looks. What takes longer than this is a case for `mooring why`. */
const proofMs = 120_000;

export interface OwnSession<T> {
  readonly session: Session;
  readonly value: T;
  readonly receipt: Teardown | null;
}

export async function withOwnSession<T>(
  context: Context,
  order: CreateSession,
  use: (session: Session) => Promise<T>,
): Promise<OwnSession<T>> {
  const session = await openSession(context, order);
  let value: T;
  try {
    value = await use(session);
  } catch (error) {
    // Report the first error. A failure of the end is only a note beside it.
    await endSession(context, session).catch((second: unknown) => context.screen.note(String(second)));
    throw error;
  }
  return { session, value, receipt: await endSession(context, session) };
}

/** Creates a session and waits until it runs. A session that does not come to run is ended here. */
export async function openSession(context: Context, order: CreateSession): Promise<Session> {
  const { screen, signal } = context;
  const shown = startProgress(screen, "Creating a session");
  const began = performance.now();
  let session: Session;
  try {
    session = await context.mooring().create(order);
  } catch (error) {
    shown.failed("No session was created");
    throw error;
  }
  shown.say(`Session ${session.id}: starting its sandbox`);
  try {
    const view = await session.until(["running", "failed", "terminated"], { signal });
    if (view.status !== "running")
      throw new CliFault(
        exitCodes.later,
        `Session ${session.id} did not start: ${view.failure ?? view.terminate_reason ?? view.status}.`,
        `mooring why ${session.id}`,
        context.page(`sessions/${session.id}`),
      );
    shown.done(`Session ${session.id} runs, after ${span(performance.now() - began)}`);
    return session;
  } catch (error) {
    shown.failed(signal.aborted ? `Session ${session.id}: interrupted` : `Session ${session.id} does not run`);
    await endSession(context, session);
    throw error;
  }
}

export type EndOutcome = "proven gone" | "ended" | "asserted gone" | "not proven yet";

/** Ends the session and waits for the proof. Not under the Ctrl-C signal: Ctrl-C asks for this very end. */
export async function endSession(context: Context, session: Session): Promise<Teardown | null> {
  const shown = startProgress(context.screen, `Session ${session.id}: ending`);
  await session.delete();
  try {
    const receipt = await session.end({ withinMs: proofMs });
    const { outcome, evidence } = proofOf(receipt);
    shown.done(`Session ${session.id}: ${outcome}${evidence === "" ? "" : ` (${evidence})`}`);
    return receipt;
  } catch (error) {
    // Its record is erased already, so it ended long ago.
    if (isProblem(error, "not_found")) return null;
    shown.failed(`Session ${session.id}: its end is stored, the proof is not there yet`);
    throw new CliFault(
      exitCodes.found,
      `Session ${session.id} is not proven gone after ${span(proofMs)}. Mooring goes on trying.`,
      `mooring why ${session.id}`,
      context.page(`sessions/${session.id}`),
    );
  }
}

/** How the end stands by its receipt, and what proves it ("" for nothing). null: there never was a sandbox. */
export function proofOf(receipt: Teardown | null): { readonly outcome: EndOutcome; readonly evidence: string } {
  if (receipt === null) return { outcome: "ended", evidence: "before it had a sandbox" };
  if (receipt.verified_absent_at !== null) {
    const absent = receipt.observations.filter(({ answer }) => answer === "absent").length;
    const tries = receipt.attempts.length === 1 ? "1 stop attempt" : `${receipt.attempts.length} stop attempts`;
    return { outcome: "proven gone", evidence: `${tries}, ${absent} looks found nothing` };
  }
  if (receipt.asserted_absent_at === null) return { outcome: "not proven yet", evidence: "" };
  return { outcome: "asserted gone", evidence: "on an operator's word, which is no proof" };
}
