/** A session read as text: what a client gets by `GET`, made where the session is. */
import { describe, expect, it } from "vitest";
import { entityTag } from "../../../src/protocol/entity-tag.ts";
import { caller, SessionRig } from "../../support/session-rig.ts";

async function both(rig: SessionRig) {
  const [read, got] = await Promise.all([rig.commands.read(caller), rig.commands.get(caller)]);
  if (!read.ok || !got.ok) throw new Error("the session could not be read");
  return { ...read.value, got: got.value };
}

describe("a session read as text", () => {
  it("is its view, with the tag that every other answer with that view has, also when it was read before", async () => {
    const rig = new SessionRig();
    await rig.running({ labels: { team: "blue" } });
    const first = await both(rig);
    for (const { text, etag, got } of [first, await both(rig)]) {
      expect(JSON.parse(text)).toEqual(got.body);
      expect(etag).toBe(await entityTag(got.etag, JSON.stringify(got.body)));
      expect(etag).toBe(first.etag);
    }
  });

  it("has the tag of the stored version as long as nothing changes, and another after a change", async () => {
    const rig = new SessionRig();
    await rig.running();
    const quiet = await both(rig);
    await rig.pass(60_000);
    const later = await both(rig);
    expect(later.text).toBe(quiet.text);
    expect(later.etag === quiet.etag).toBe(later.got.etag === quiet.got.etag);
    await rig.commands.timeout(caller, "timeout", 120);
    const shorter = await both(rig);
    expect(shorter.etag).not.toBe(later.etag);
    expect(JSON.parse(shorter.text)).toEqual(shorter.got.body);
    expect(shorter.got.body.end_at < later.got.body.end_at).toBe(true);
  });

  it("asked for many times at once, while it changes, gives each text its own tag", async () => {
    const rig = new SessionRig();
    await rig.running();
    const asked = [rig.commands.read(caller)];
    for (const seconds of [300, 200, 100]) {
      await rig.commands.timeout(caller, "timeout", seconds);
      asked.push(rig.commands.read(caller));
    }
    for (const read of await Promise.all(asked)) {
      if (!read.ok) throw new Error(read.problem.detail);
      const { etag, text } = read.value;
      const [, version = ""] = /^"(\d+)-/.exec(etag) ?? [];
      expect(etag).toBe(await entityTag(version, text));
    }
  });

  it("is for its own tenant only", async () => {
    const rig = new SessionRig();
    await rig.running();
    expect(await rig.commands.read({ ...caller, tenant: "other" as typeof caller.tenant })).toMatchObject({
      ok: false,
      problem: { code: "not_found" },
    });
  });
});
