/**
 * A teardown whose stop attempts are used up, and an operator who begins a new round with the command line. Its stack has rounds of two attempts: they are
 * over after some seconds, where eight take ten minutes.
 */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { HostFault } from "../../../src/protocol/sandbox/host.ts";
import { cli, inTerminal } from "../../support/command-line.ts";
import { calmVars, temporaryStack, type TemporaryStack } from "../../support/temporary-stack.ts";
import { until } from "../../support/until.ts";

let world: TemporaryStack;
let tenant: Record<string, string>;
let operator: Record<string, string>;
beforeAll(async () => {
  world = await temporaryStack({ faults: true, vars: { ...calmVars, STOP_ATTEMPTS: "2" } });
  tenant = { MOORING_URL: world.stack.url, MOORING_KEY: await world.stack.apiKey("cli") };
  operator = { MOORING_URL: world.stack.url, MOORING_ADMIN_TOKEN: world.stack.secrets.ADMIN_TOKEN };
});
afterAll(() => world.stop());
afterEach(() => fault(null));

/** Null: the host does what it is asked again. */
async function fault(order: HostFault | null): Promise<void> {
  const { hostUrl, secrets } = world.stack;
  await fetch(`${hostUrl}/faults`, {
    method: order === null ? "DELETE" : "POST",
    headers: { authorization: `Bearer ${secrets.LOCAL_HOST_TOKEN}`, "content-type": "application/json" },
    ...(order === null ? {} : { body: JSON.stringify(order) }),
  });
}

/** Its host neither stops its sandbox nor looks at it. */
async function parkedSession(): Promise<string> {
  const made = await cli(["api", "create-session", "--wait", "60"], tenant);
  const { id } = JSON.parse(made.out) as { readonly id: string };
  await fault({ op: "stop", mode: "error", count: 10_000 });
  await fault({ op: "observe", mode: "error", count: 10_000 });
  await cli(["api", "delete-session", "--yes", id], tenant);
  await parked(id);
  return id;
}

const parked = (id: string) =>
  until("it is parked", async () => (await cli(["why", id], operator)).out.includes("All 2 attempts are used up"));

it("once the host of a parked teardown is well, the retry_stop that attention names begins a new round that ends with a proof [PEO-1] [PEO-4]", async () => {
  const id = await parkedSession();
  const told = await until("attention lists it as parked", async () => {
    const { out } = await cli(["attention"], operator);
    return out.includes(`mooring resolve ${id} --action retry_stop`) ? out : null;
  });
  expect(told).toContain(id);
  expect((await cli(["sessions", "--blocked", "parked", "-q"], operator)).out).toContain(id);
  // The host is still broken: the new round ends where the first one did.
  const retry = ["resolve", id, "--action", "retry_stop", "--reason"];
  expect(await cli([...retry, "a first try", "-y"], operator)).toMatchObject({ code: 0 });
  await parked(id);
  await fault(null);
  const asked = inTerminal([...retry, "the host is back"], operator);
  await asked.shows(/retry stop for this session\. Go on\?/);
  expect(asked.screen()).toMatch(new RegExp(`${id}-g\\d+ stopping, parked, 2 attempts`));
  asked.type("y");
  expect(await asked.ended).toBe(0);
  await until("it is proven gone", async () => (await cli(["why", id], operator)).out.includes("terminated"));
  expect((await cli(["api", "list-admin-log"], operator)).out).toContain("the host is back");
  expect((await cli(["fleet"], operator)).out).toMatch(/ledger +balanced/);
});
