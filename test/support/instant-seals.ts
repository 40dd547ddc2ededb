/**
 * Seals for virtual time: real encryption would answer from a thread, at an instant that no test decides. They are bound to
 * their place and their key like the real ones, and hide nothing from anyone who looks at the code.
 */
import { isSealed, type Seals } from "../../src/storage/seals.ts";

export function instantSeals(keys: readonly string[] = ["k1"]): Seals {
  const newest = keys[0];
  const seals: Seals = {
    seal: (text, about) => Promise.resolve(newest === undefined ? null : `sealed:1:${newest}:${code(about, text)}`),
    open(stored, about) {
      if (!isSealed(stored)) return Promise.resolve({ ok: true, text: stored });
      const [, , key = "", body = ""] = stored.split(":");
      if (!keys.includes(key)) return Promise.resolve({ ok: false, why: `the key ${key} is not configured` });
      const [place, text] = JSON.parse(Buffer.from(body, "base64").toString()) as [string, string];
      return Promise.resolve(place === about ? { ok: true, text } : { ok: false, why: "it belongs elsewhere" });
    },
    async renew(stored, about) {
      if (stored.startsWith(`sealed:1:${String(newest)}:`)) return { type: "current" };
      const opened = await seals.open(stored, about);
      if (!opened.ok) return { type: "unreadable", why: opened.why };
      const sealed = await seals.seal(opened.text, about);
      return sealed === null ? { type: "unreadable", why: "no key is configured" } : { type: "renewed", sealed };
    },
  };
  return seals;
}

const code = (about: string, text: string) => Buffer.from(JSON.stringify([about, text])).toString("base64");
