/** I3, checked on the receipt itself and against what the provider really answered: what counts as evidence, counted again. */
import type { Evidence } from "./evidence.ts";
import type { SeenClosed, Timers } from "./model.ts";

export function receiptFaults(lease: SeenClosed, evidence: Evidence, timers: Timers): readonly string[] {
  const { receipt, host, generation, sandboxId } = lease;
  const found: string[] = [];
  const fail = (what: string) => found.push(`I3: generation ${generation} is closed, but ${what}`);
  const [first, second] = receipt.observations.slice(-2);
  if (first === undefined || second === undefined) {
    fail("there are no two looks");
    return found;
  }
  for (const look of [first, second]) {
    if (look.answer !== "absent") fail(`a look said ${look.answer}`);
    if (look.sandboxId !== sandboxId || look.generation !== generation) fail("a look was at something else");
    if (look.provider !== lease.provider || look.host !== host) fail("a look was answered by somebody else");
    if (look.boot !== receipt.retired.boot) fail("a look was answered by another boot");
    if (look.beganAt < receipt.retired.at) fail("a look began before the retirement");
    if (look.residue.length > 0) fail("a look found something");
    if (!evidence.saw(look)) fail("the provider never gave the answer that a look tells of");
  }
  if (second.beganAt - first.beganAt < timers.absenceLookGapMs) fail("its looks are too close");
  if (receipt.verifiedAbsentAt !== second.beganAt) fail("it names another time than its evidence");
  if (!evidence.retired(sandboxId, generation, receipt.retired)) fail("the provider never acknowledged its retirement");
  return found;
}
