/**
 * Methods that only hand a call on, made from a table of names instead of written by hand.
 *
 * Object RPC reaches methods of the class, not properties of the instance, so the methods are put on the prototype. The
 * table has a row for every method of the API, and every part must have the methods that the table gives it: what is
 * forgotten does not compile.
 */

/** As a method of the API, but it may have its answer at once. */
type Answering<Method> = Method extends (...args: infer Args) => Promise<infer Answer>
  ? (...args: Args) => Answer | Promise<Answer>
  : never;

/** The parts that `Table` (method → name of the part that answers it) asks for. */
export type Handlers<Api, Table extends Readonly<Record<keyof Api, string>>> = {
  readonly [Part in Table[keyof Api]]: {
    readonly [Name in keyof Api as Table[Name] extends Part ? Name : never]: Answering<Api[Name]>;
  };
};

/** `Class`, known to have the methods of `Api` too. */
export type Implementing<Class extends abstract new (...args: never[]) => object, Api> = new (
  ...args: ConstructorParameters<Class>
) => InstanceType<Class> & Api;

/** Gives `prototype` each method of `table`. `handlersOf` is asked at every call. */
export function forwardMethods<Self extends object, Api, Table extends Readonly<Record<keyof Api, string>>>(
  prototype: Self,
  table: Table,
  handlersOf: (self: Self) => Handlers<Api, Table>,
): void {
  for (const [name, part] of Object.entries<string>(table)) {
    const method = async function (this: Self, ...args: unknown[]): Promise<unknown> {
      const parts = handlersOf(this) as Readonly<
        Record<string, Readonly<Record<string, (...args: unknown[]) => unknown>>>
      >;
      return await parts[part]?.[name]?.(...args);
    };
    Object.defineProperty(prototype, name, { value: method, writable: true, configurable: true });
  }
}
