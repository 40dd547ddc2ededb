/** The state that the platform hands to a Durable Object, over the storage of a simulated one, for as long as one incarnation lives. */
import type { Incarnation } from "../../support/incarnation.ts";
import { Crashed } from "../../support/incarnation.ts";
import type { SqlValue } from "../../../src/storage/sql.ts";
import type { SimStorage } from "./sim-storage.ts";

export function durableState(name: string, storage: SimStorage, life: Incarnation): DurableObjectState {
  const sql = life.sql(storage);
  const whileAlive = (act: () => void): Promise<void> => {
    if (!life.alive) throw new Crashed();
    act();
    return Promise.resolve();
  };
  const state = {
    id: { name },
    storage: {
      sql: {
        exec(statement: string, ...bindings: readonly unknown[]) {
          const rows = sql.run(statement, ...(bindings as readonly SqlValue[]));
          return { toArray: () => rows };
        },
      },
      transactionSync: <T>(body: () => T): T => sql.transaction(body),
      getAlarm: (): Promise<number | null> => (life.alive ? Promise.resolve(storage.alarmAt) : new Promise(() => {})),
      setAlarm: (at: number) => whileAlive(() => storage.setAlarm(at)),
      deleteAlarm: () => whileAlive(() => storage.setAlarm(null)),
    },
  };
  return state as unknown as DurableObjectState;
}
