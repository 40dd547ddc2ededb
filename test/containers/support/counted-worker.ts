/**
 * Mooring as it is deployed, with one line in the log for each time that the platform builds or calls an object of a session or of its
 * container: its constructor, its alarm, and every request and method. What happens to an object that sleeps can be counted only there.
 */
import * as deployed from "../../../src/index.ts";
import { wakeMark } from "./wakes.ts";

type ObjectClass = new (...given: never[]) => object;

function counted<Base extends ObjectClass>(object: string, base: Base): Base {
  const say = (what: string): void => {
    // oxlint-disable-next-line no-console -- the log is how the test hears of it
    console.log(`${wakeMark}${JSON.stringify({ object, what })}`);
  };
  const Counted = class extends (base as ObjectClass) {
    constructor(...given: never[]) {
      super(...given);
      say("constructor");
    }
  };
  for (const [name, method] of methodsOf(base)) {
    Object.defineProperty(Counted.prototype, name, {
      value(this: object, ...given: readonly unknown[]): unknown {
        say(name === "callWrapper" ? pathOf(given[0]) : name);
        return method.apply(this, [...given]);
      },
    });
  }
  return Counted as unknown as Base;
}

/** Its own, and those of the classes that it extends, but for the platform's. */
function methodsOf(base: ObjectClass): ReadonlyMap<string, (...given: unknown[]) => unknown> {
  const found = new Map<string, (...given: unknown[]) => unknown>();
  for (let level = base.prototype as object; "constructor" in level; level = Object.getPrototypeOf(level) as object) {
    const { name } = level.constructor;
    if (name === "DurableObject" || name === "Object") break;
    for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(level)))
      if (key !== "constructor" && typeof value === "function" && !found.has(key)) found.set(key, value as never);
  }
  return found;
}

function pathOf(call: unknown): string {
  const { method, path } = call as { readonly method: string; readonly path: string };
  return `${method} ${path}`;
}

export * from "../../../src/index.ts";
export const SessionObject = counted("session", deployed.SessionObject);
export const AgentContainer = counted("container", deployed.AgentContainer);
// oxlint-disable-next-line import/no-default-export -- the platform takes a Worker by its default export
export default deployed.default;
