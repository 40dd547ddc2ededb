/** What a Durable Object with a container is constructed with: the fake container, and storage that outlives the object. */
import type { NetworkGateProps } from "../../../src/sandbox/cloudflare/network/network-gate.ts";
import type { FakeContainer } from "./fake-container.ts";

export interface ObjectContext {
  readonly name: string;
  readonly container: FakeContainer;
  readonly rows: Map<string, unknown>;
  /** Each instant that an alarm was set for. */
  readonly alarms: number[];
  readonly onAbort: () => void;
}

export function objectContext({ name, container, rows, alarms, onAbort }: ObjectContext): object {
  return {
    id: { toString: () => name },
    container,
    storage: {
      kv: {
        get: (key: string) => structuredClone(rows.get(key)),
        put: (key: string, value: unknown) => void rows.set(key, structuredClone(value)),
      },
      sync: async () => {},
      setAlarm: async (at: number) => void alarms.push(at),
      deleteAll: async () => rows.clear(),
    },
    abort: onAbort,
    blockConcurrencyWhile: (body: () => Promise<unknown>) => body(),
    exports: { NetworkGate: ({ props }: { props: NetworkGateProps }) => ({ props }) },
  };
}
