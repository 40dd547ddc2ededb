/** The simulation takes two short cuts for speed. Each must answer as what it stands for. */
import { describe, expect, it } from "vitest";
import { SimStorage } from "../../simulation/objects/sim-storage.ts";
import { withLightAborts } from "../../support/light-abort.ts";

describe("the aborts of the simulation", () => {
  /** What a listener hears, in which order, when signals are joined, removed and aborted twice. */
  function story(): readonly string[] {
    const heard: string[] = [];
    const [one, other] = [new AbortController(), new AbortController()];
    const joined = AbortSignal.any([one.signal, other.signal]);
    const removed = () => heard.push("removed");
    one.signal.addEventListener("abort", () => heard.push("first"), { once: true });
    one.signal.addEventListener("abort", removed);
    one.signal.addEventListener("abort", () => {
      heard.push("second");
      one.signal.removeEventListener("abort", last);
    });
    const last = () => heard.push("removed while it is told");
    one.signal.addEventListener("abort", last);
    one.signal.removeEventListener("abort", removed);
    joined.addEventListener("abort", () => heard.push(`joined: ${String(joined.reason)}`));
    one.abort("over");
    one.abort("again");
    other.abort("late");
    one.signal.addEventListener("abort", () => heard.push("too late"));
    heard.push(`${one.signal.aborted} ${String(one.signal.reason)} ${joined.aborted}`);
    heard.push(`${AbortSignal.any([other.signal]).aborted}`);
    return heard;
  }

  it("tell their listeners what the platform's tell theirs", async () => {
    const light = await withLightAborts(() => Promise.resolve(story()));
    expect(light).toEqual(story());
    expect(light).toContain("joined: over");
  });

  it("are the platform's again afterwards, also when the schedule fails", async () => {
    const before = AbortController;
    await expect(withLightAborts(() => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    expect(AbortController).toBe(before);
  });
});

describe("what a storage of the simulation remembers of its reads", () => {
  function stored(): SimStorage {
    const storage = new SimStorage("session", false);
    storage.run("CREATE TABLE first (id INTEGER PRIMARY KEY, name TEXT)");
    storage.run("CREATE TABLE second (id INTEGER PRIMARY KEY, name TEXT)");
    return storage;
  }
  const names = "SELECT name FROM first ORDER BY id";
  const both = "SELECT first.name AS name FROM first JOIN second ON first.id = second.id WHERE first.id = ?";

  it("is forgotten at each write to a table that the read names", () => {
    const storage = stored();
    expect(storage.run(names)).toEqual([]);
    storage.run("INSERT INTO first (id, name) VALUES (1, 'a')");
    expect(storage.run(names)).toEqual([{ name: "a" }]);
    expect(storage.run(both, 1)).toEqual([]);
    storage.run("INSERT INTO second (id, name) VALUES (1, 'b')");
    expect(storage.run(both, 1)).toEqual([{ name: "a" }]);
    expect(storage.run(both, 2)).toEqual([]);
    storage.damage("UPDATE first SET name = 'damaged'");
    expect(storage.run(both, 1)).toEqual([{ name: "damaged" }]);
    storage.close();
  });

  it("is forgotten when a transaction is rolled back, and when columns come", () => {
    const storage = stored();
    storage.run("INSERT INTO first (id, name) VALUES (1, 'a')");
    expect(() =>
      storage.transaction(() => {
        storage.run("UPDATE first SET name = 'b'");
        expect(storage.run(names)).toEqual([{ name: "b" }]);
        throw new Error("rolled back");
      }),
    ).toThrow("rolled back");
    expect(storage.run(names)).toEqual([{ name: "a" }]);
    expect(storage.run("SELECT * FROM first")).toEqual([{ id: 1, name: "a" }]);
    storage.run("ALTER TABLE first ADD COLUMN more TEXT");
    expect(storage.run("SELECT * FROM first")).toEqual([{ id: 1, name: "a", more: null }]);
    storage.close();
  });

  it("is forgotten when every row is erased", () => {
    const storage = new SimStorage("session", true);
    storage.run("INSERT INTO event VALUES (5, 1, 'created', 'client', 'asked for', 'none', 'running', NULL, '{}')");
    expect(storage.run("SELECT sequence FROM event")).toEqual([{ sequence: 5 }]);
    storage.erase();
    expect(storage.run("SELECT sequence FROM event")).toEqual([]);
    storage.close();
  });
});
