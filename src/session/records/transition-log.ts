/** One structured line for each move of a session that an operator would ask about: its status, or its newest lease's phase. */
import type { Session } from "../../domain/state/session.ts";
import { statusOf } from "../../domain/rules/status.ts";
import type { LogFields, Logger } from "../../runtime/clock-ids-logger.ts";
import type { SessionState } from "../session-state.ts";

export function logTransitions(state: SessionState, logger: Logger): void {
  let before = state.session;
  state.onChange(() => {
    const after = state.session;
    if (after === before || after === null || state.mode.type !== "readable") {
      before = after;
      return;
    }
    const was = before === null ? null : standing(before);
    const is = standing(after);
    before = after;
    if (was?.status === is.status && was.phase === is.phase && was.generation === is.generation) return;
    const { id, tenant, provider } = after;
    logger.info("session moved", {
      ...{ session: id, tenant, provider, version: state.version, generation: is.generation },
      ...{ from: was?.status ?? null, to: is.status, from_phase: was?.phase ?? null, to_phase: is.phase },
      ...reasons(after),
    });
  });
}

function standing(session: Session) {
  const { newest } = session;
  return { status: statusOf(session), phase: newest?.phase ?? "none", generation: newest?.generation ?? null };
}

function reasons({ desired, newest }: Session): LogFields {
  return {
    ...(desired.type === "terminated" ? { terminate_reason: desired.reason } : {}),
    ...(newest?.phase === "stopping" ? { stop_reason: newest.reason } : {}),
    ...(newest?.phase === "closed" ? { stop_reason: newest.receipt.reason } : {}),
  };
}
