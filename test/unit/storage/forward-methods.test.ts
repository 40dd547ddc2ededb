/** Methods that are made from a table of names. */
import { expect, it } from "vitest";
import { forwardMethods, type Handlers } from "../../../src/storage/forward-methods.ts";

interface Api {
  add(a: number, b: number): Promise<number>;
  name(): Promise<string>;
}
const answeredBy = { add: "sums", name: "words" } as const satisfies Readonly<Record<keyof Api, string>>;

class Sums {
  #base: number;
  constructor(base: number) {
    this.#base = base;
  }
  async add(a: number, b: number): Promise<number> {
    return this.#base + a + b;
  }
}
class Thing {
  static {
    forwardMethods<Thing, Api, typeof answeredBy>(this.prototype, answeredBy, (self) => self.#handlers);
  }
  readonly #handlers: Handlers<Api, typeof answeredBy>;
  constructor(base: number) {
    this.#handlers = { sums: new Sums(base), words: { name: () => `thing ${base}` } };
  }
}

it("hands each call to the part of its own object, with its arguments", async () => {
  const [one, two] = [new Thing(1), new Thing(100)] as unknown as [Api, Api];
  expect(await one.add(2, 3)).toBe(6);
  expect(await two.add(2, 3)).toBe(105);
  // A part may answer at once; the caller of an object waits in any case.
  expect(await two.name()).toBe("thing 100");
});

it("puts the methods on the prototype, where object RPC finds them", () => {
  expect(Object.getOwnPropertyNames(Thing.prototype)).toEqual(expect.arrayContaining(["add", "name"]));
  expect(Object.keys(new Thing(1))).toEqual([]);
});
