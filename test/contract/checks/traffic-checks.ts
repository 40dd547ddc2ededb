import assert from "node:assert/strict";
import { type Pass, trafficHeaders, type TrafficKeys, webTrafficKeys } from "../../../src/protocol/sandbox/traffic.ts";
import { bound, ContractSession, valueOf } from "../contract-session.ts";
import type { ProviderCheck, ProviderWorld } from "../provider-harness.ts";

export const trafficChecks: readonly ProviderCheck[] = [
  {
    name: "it takes traffic exactly when it says that it does, and its harness then has that looked at",
    needs: [],
    run: asDeclared,
  },
  { name: "traffic reaches the agent of a running instance, which proves itself", needs: ["traffic"], run: reaches },
  { name: "a pass of a retired generation is refused at once [TRA-6]", needs: ["traffic"], run: retired },
  {
    name: "a pass with a wrong token or of another instance opens nothing [TRA-6]",
    needs: ["traffic"],
    run: wrongPass,
  },
  { name: "a drained wrapper takes no traffic until the drain is taken back [TRA-9]", needs: ["traffic"], run: held },
  { name: "an order to cut ends traffic before anything is stopped [TRA-9]", needs: ["traffic"], run: cut },
];

export const nonce = "0123456789abcdef0123456789abcdef";

function keysOf({ world }: ContractSession): TrafficKeys {
  return world.trafficKeys ?? webTrafficKeys;
}

export async function passOf(session: ContractSession, change: Partial<Pass> = {}): Promise<Pass> {
  const { sessionId, sandboxId, instanceId, generation, secret } = session.order;
  const key = await keysOf(session).key(secret);
  const token = await keysOf(session).token(key);
  const expiresAt = session.world.now() + 60_000;
  const { name: provider } = session.world.provider;
  return { provider, sessionId, sandboxId, instanceId, generation, host: null, key, token, expiresAt, ...change };
}

/** Nobody listens on that port: the agent says so, or, in a world without ports, answers. null: the agent answered. */
async function refusalOf(session: ContractSession, pass: Pass): Promise<string | null> {
  const { traffic } = session.world.provider;
  assert.ok(traffic, "a provider that declares `traffic` has it");
  const request = { method: "GET", path: "ports/9/", headers: new Headers(), body: null };
  const response = valueOf(await session.world.settle(traffic.send(pass, nonce, request, bound())), "traffic");
  await response.body?.cancel();
  const code = response.headers.get(trafficHeaders.refused);
  if (code !== null && code !== "nobody_listens") return code;
  assert.equal(response.headers.get(trafficHeaders.proof), await keysOf(session).proof(pass.key, nonce));
  return null;
}

export async function heldSession(world: ProviderWorld): Promise<ContractSession> {
  const session = new ContractSession(world);
  await session.held();
  return session;
}

/** A harness that forgets the power would have every check of traffic skipped. */
async function asDeclared({ provider, can }: ProviderWorld): Promise<void> {
  assert.equal(provider.traffic !== undefined, provider.capabilities.traffic);
  assert.equal(can.traffic === true, provider.capabilities.traffic, "the harness has the power `traffic`");
}

async function reaches(world: ProviderWorld): Promise<void> {
  const session = await heldSession(world);
  assert.equal(await refusalOf(session, await passOf(session)), null);
}

async function retired(world: ProviderWorld): Promise<void> {
  const session = await heldSession(world);
  const pass = await passOf(session);
  assert.equal(await refusalOf(session, pass), null);
  valueOf(await world.settle(world.provider.retire(session.target(), bound())), "retire");
  assert.equal(await refusalOf(session, pass), "retired");
}

async function wrongPass(world: ProviderWorld): Promise<void> {
  const session = await heldSession(world);
  assert.equal(await refusalOf(session, await passOf(session, { token: "0".repeat(64) })), "unauthorized");
  const other = session.successor().order;
  assert.equal(await refusalOf(session, await passOf(session, { instanceId: other.instanceId })), "retired");
  assert.equal(await refusalOf(session, await passOf(session, { generation: other.generation })), "retired");
}

async function held(world: ProviderWorld): Promise<void> {
  const session = await heldSession(world);
  const pass = await passOf(session);
  valueOf(await world.settle(session.wrapper().drain(bound())), "drain");
  assert.equal(await refusalOf(session, pass), "held");
  valueOf(await world.settle(session.wrapper().admit(bound())), "admit");
  assert.equal(await refusalOf(session, pass), null);
}

async function cut(world: ProviderWorld): Promise<void> {
  const session = await heldSession(world);
  valueOf(await world.settle(session.wrapper().cutTraffic(bound())), "cut");
  assert.equal(await refusalOf(session, await passOf(session)), "held");
}
