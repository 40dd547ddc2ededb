/** Whether a session has a record of itself. */
import type { SessionId } from "../../domain/state/ids.ts";
import { outcomeWithin } from "../../calls/outcome-within.ts";
import type { AuditPorts, AuditTerms } from "./audit-ports.ts";

/** True only when the session itself answers `not_found`; a timeout is not proof. */
export async function hasNoRecord(ports: AuditPorts, terms: AuditTerms, id: SessionId): Promise<boolean> {
  const answer = await outcomeWithin(ports.clock, terms.callMs, () => ports.session(id).inspect());
  return answer.type === "answered" && !answer.value.ok && answer.value.problem.code === "not_found";
}
