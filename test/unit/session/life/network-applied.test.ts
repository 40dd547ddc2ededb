/** Rules for a sandbox that runs: what holds is what was confirmed of the newest rules, whatever was overtaken on the way. */
import { expect, it } from "vitest";
import { failed } from "../../../../src/domain/state/failure.ts";
import type { Generation } from "../../../../src/domain/state/ids.ts";
import type { Held } from "../../../../src/domain/state/lease.ts";
import { applyRules, followNetwork } from "../../../../src/session/steps/network.ts";
import type { StepContext } from "../../../../src/session/steps/step-context.ts";

const lease = { generation: 7 as Generation } as Held;

function sandboxWith(onChange: (sent: number) => void, refuses = false) {
  const network = { mode: "allow", allow: ["first.example"], inject: [], version: 1, state: "pending" };
  const sent: string[] = [];
  const dispatched: unknown[] = [];
  const context = {
    ports: { policy: { observeMs: 1 } },
    secrets: { launch: () => Promise.resolve({ ok: true, value: { env: {} } }) },
    calls: {
      session: () => ({ id: "s", network: { ...network } }),
      target: () => ({}),
      call: (_ms: number, _what: string, send: (bound: object) => unknown) => send({}),
      dispatch: (event: unknown) => dispatched.push(event),
      provider: () => ({
        network: {
          change(_target: object, rules: { readonly allow: readonly string[] }) {
            sent.push(String(rules.allow));
            onChange(sent.length);
            return refuses ? failed("unavailable", "no answer", "unknown") : { ok: true, value: { enforced: "all" } };
          },
          denied: () => ({ ok: true, value: [{ host: "other.example", count: 3 }] }),
        },
      }),
    },
  } as unknown as StepContext;
  return { context, network, sent, dispatched };
}

it("rules that change while they are on their way are sent again, and only the newest count as applied [CON-10]", async () => {
  const at = sandboxWith((sent) => {
    if (sent === 1) Object.assign(at.network, { allow: ["second.example"], version: 2 });
  });
  expect(await applyRules(at.context, lease)).toBeNull();
  expect(at.sent).toEqual(["first.example", "second.example"]);
  expect(at.dispatched).toEqual([{ type: "networkApplied", generation: 7, version: 2, enforced: "all" }]);
});

it("rules that were not taken stay pending, and the reason is told [CON-10]", async () => {
  const { context, dispatched } = sandboxWith(() => {}, true);
  expect(await applyRules(context, lease)).toBe("no answer");
  expect(dispatched).toEqual([]);
});

it("with each renewal pending rules are sent again and applied ones are not; refusals are fetched either way [CON-10]", async () => {
  const { context, network, sent, dispatched } = sandboxWith(() => {});
  await followNetwork(context, lease);
  network.state = "applied";
  await followNetwork(context, lease);
  expect(sent).toHaveLength(1);
  const refused = { type: "hostsDenied", generation: 7, hosts: [{ host: "other.example", count: 3 }] };
  expect(dispatched).toEqual([expect.objectContaining({ type: "networkApplied" }), refused, refused]);
});
