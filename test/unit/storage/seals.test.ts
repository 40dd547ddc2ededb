/** Sealing with the real cipher: what opens, what does not, and what a rotation changes. */
import { randomBytes } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { isSealed, webSeals } from "../../../src/storage/seals.ts";

const random = (count: number) => new Uint8Array(randomBytes(count));
const [old, current, stranger] = ["the first key of all", "the key after that", "somebody else's key"];
const about = "mooring/session/aaaaaaaaaaaaaaaaaaaa/launch";
const secret = '{"env":{"TOKEN":"hunter2 – ünïcode"}}';

async function sealed(keys: readonly string[], text = secret): Promise<string> {
  const result = await webSeals(keys, random).seal(text, about);
  if (result === null) throw new Error("not sealed");
  return result;
}

describe("a sealed text", () => {
  it("shows nothing of what is in it, is never the same twice, and opens to exactly that [SEC-3]", async () => {
    const [one, two] = [await sealed([current]), await sealed([current])];
    expect(one).not.toBe(two);
    expect(isSealed(one)).toBe(true);
    for (const bare of [one, atob(one.split(":").at(-1) ?? "")]) {
      expect(bare).not.toContain("hunter2");
      expect(bare).not.toContain("TOKEN");
      expect(bare).not.toContain(current);
    }
    expect(await webSeals([current], random).open(one, about)).toEqual({ ok: true, text: secret });
    const large = "x".repeat(300_000);
    expect(await webSeals([current], random).open(await sealed([current], large), about)).toEqual({
      ok: true,
      text: large,
    });
  });

  it("[BUG-86] opens for one request although the key that another request began to derive never settles", async () => {
    const text = await sealed([current]);
    const seals = webSeals([current], random);
    // The platform drops the request that began it, and its promises with it.
    const dropped = vi.spyOn(crypto.subtle, "importKey").mockImplementationOnce(() => new Promise(() => {}));
    try {
      void seals.open(text, about);
      expect(await seals.open(text, about)).toEqual({ ok: true, text: secret });
      expect(dropped).toHaveBeenCalledTimes(2);
      // Derived once, the key itself is kept.
      expect(await seals.open(text, about)).toMatchObject({ ok: true });
      expect(dropped).toHaveBeenCalledTimes(2);
    } finally {
      dropped.mockRestore();
    }
  });

  it("opens nowhere else, and not when one bit of it was changed; never a throw [SEC-3]", async () => {
    const seals = webSeals([current], random);
    const text = await sealed([current]);
    expect(await seals.open(text, about.replace("aaaa", "bbbb"))).toMatchObject({ ok: false });
    const head = text.slice(0, text.lastIndexOf(":") + 1);
    const bytes = Uint8Array.from(atob(text.slice(head.length)), (char) => char.charCodeAt(0));
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
      expect(await seals.open(head + btoa(String.fromCharCode(...changed)), about)).toMatchObject({ ok: false });
    }
    for (const broken of [head, `${head}AAAA`, "sealed:1:", "sealed:2:x:y", text.slice(0, -7)]) {
      const opened = await seals.open(broken, about);
      if (isSealed(broken)) expect(opened.ok).toBe(false);
    }
  });

  it("is opened by every configured key and sealed by the newest; a key that is gone is named, never shown [SEC-1]", async () => {
    const text = await sealed([old]);
    expect(await webSeals([current, old], random).open(text, about)).toEqual({ ok: true, text: secret });
    const opened = await webSeals([current, stranger], random).open(text, about);
    expect(opened).toMatchObject({ ok: false, why: expect.stringContaining("not configured") as string });
    expect(JSON.stringify(opened)).not.toContain(old);
    expect(await webSeals([], random).open(text, about)).toMatchObject({ ok: false });
    expect(await webSeals([], random).seal(secret, about)).toBeNull();
  });

  it("is renewed when it is plain or of an older key, left alone when it is current or cannot be opened", async () => {
    const seals = webSeals([current, old], random);
    const older = await sealed([old]);
    for (const stored of [older, secret]) {
      const renewed = await seals.renew(stored, about);
      if (renewed.type !== "renewed") throw new Error(renewed.type);
      expect(await webSeals([current], random).open(renewed.sealed, about)).toEqual({ ok: true, text: secret });
      expect(await seals.renew(renewed.sealed, about)).toEqual({ type: "current" });
    }
    expect(await webSeals([current], random).renew(older, about)).toMatchObject({ type: "unreadable" });
    expect(await webSeals([], random).renew(secret, about)).toMatchObject({ type: "unreadable" });
  });
});
