/** Which spans a session's work makes, and what they say: one for each launch, look, stop attempt and renewal that failed. */
import { expect, it } from "vitest";
import { caller, SessionRig } from "../../support/session-rig.ts";
import { once } from "../../support/suspension.ts";
import { Trace, type SpanFacts, type Spans } from "../../../src/session/trace.ts";
import { platformSpans } from "../../../src/wiring/platform-spans.ts";

it("each launch, look, stop attempt and failed renewal of a session is a span that says how it came out", async () => {
  const rig = new SessionRig();
  const { generation } = await rig.running();
  rig.fault = once("renew", { type: "fail_before", effect: "none" });
  await rig.pass(90_000);
  await rig.commands.delete(caller, "requested");
  await rig.pass(30_000);
  const of = (name: string) => rig.spans.filter((span) => span.name === name).map(({ facts }) => facts);
  expect(of("mooring.launch")).toMatchObject([{ generation, provider: "memory", outcome: "launched" }]);
  expect(of("mooring.renewal_failed")).toMatchObject([{ generation, sequence: 2 }]);
  expect(of("mooring.stop")).toMatchObject([{ generation, reason: "terminated", outcome: "absent" }]);
  expect(of("mooring.look").map(({ answer }) => answer)).toEqual(["absent", "present", "absent", "absent"]);
});

it("a span carries the facts, the trace of the log lines, and how it came out, and ends with its work", async () => {
  const seen: { name: string; facts: Record<string, unknown>; ended: boolean }[] = [];
  const api = {
    enterSpan: (name: string, body: (span: unknown) => Promise<unknown>) => {
      const span = { name, facts: {} as Record<string, unknown>, ended: false };
      seen.push(span);
      return body({ setAttribute: (key: string, value: unknown) => void (span.facts[key] = value) }).finally(
        () => (span.ended = true),
      );
    },
  };
  const trace = new Trace(
    { secret: () => "a".repeat(64) },
    platformSpans(api as unknown as Pick<Tracing, "enterSpan">),
  );
  const answer = await trace.span("mooring.look", { generation: 7 }, async (note) => {
    note({ answer: "absent" });
    return 1;
  });
  expect(answer).toBe(1);
  expect(seen).toEqual([
    {
      name: "mooring.look",
      facts: { generation: 7, "mooring.trace_id": "a".repeat(32), answer: "absent" },
      ended: true,
    },
  ]);
});

it("a runtime without the API does the work all the same", async () => {
  const none: Spans = platformSpans(undefined);
  expect(await none.in("x", async (note: (facts: SpanFacts) => void) => (note({ a: 1 }), 2))).toBe(2);
});
