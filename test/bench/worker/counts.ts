/**
 * Counts what the platform bills and limits: rows, alarms, calls between objects, wakes. All objects of a bench workerd
 * share one isolate, so one table holds the counts of all of them: nothing here is estimated.
 */

export type Party = "worker" | "session" | "tenant" | "shard" | "control";

interface ObjectCounts {
  rowsRead: number;
  /** As SQLite counts them, rows of indexes too. */
  rowsWritten: number;
  /** Each is billed as a row written. */
  alarmsSet: number;
  alarmsRun: number;
  /** RPC calls received. */
  calls: number;
}

export interface Counts {
  readonly objects: Record<Party, ObjectCounts>;
  /** Calls by `from>to.method`. */
  readonly calls: Record<string, number>;
  /** Rows written by `object: first words of the statement`. */
  readonly statements: Record<string, number>;
}

let counts = nothing();
const owners = new WeakMap<object, Party>();
let patched = false;

export function takeCounts(): Counts {
  const taken = counts;
  counts = nothing();
  return taken;
}

/** To be called in the constructor of each counted object. */
export function watchStorage(party: Party, storage: DurableObjectStorage): void {
  owners.set(storage.sql, party);
  owners.set(storage, party);
  if (patched) return;
  patched = true;
  // The class of the storage is native: its prototype is the only place to stand.
  const sql = Object.getPrototypeOf(storage.sql) as { exec: SqlStorage["exec"] };
  const { exec } = sql;
  sql.exec = function countedExec(this: SqlStorage, statement: string, ...bindings: SqlStorageValue[]) {
    const cursor = exec.call(this, statement, ...bindings);
    const owner = owners.get(this);
    if (owner !== undefined) {
      // A writing statement has run as a whole when `exec` returns.
      counts.objects[owner].rowsWritten += cursor.rowsWritten;
      counts.objects[owner].rowsRead += cursor.rowsRead;
      if (cursor.rowsWritten > 0) {
        add(counts.statements, `${owner}: ${statement.trim().split(/\s+/).slice(0, 3).join(" ")}`, cursor.rowsWritten);
      }
    }
    return cursor;
  } as SqlStorage["exec"];
  const durable = Object.getPrototypeOf(storage) as Pick<DurableObjectStorage, "setAlarm">;
  const { setAlarm } = durable;
  durable.setAlarm = function countedSetAlarm(this: DurableObjectStorage, at: number | Date) {
    const owner = owners.get(this);
    if (owner !== undefined) counts.objects[owner].alarmsSet += 1;
    return setAlarm.call(this, at);
  };
}

export function countAlarm(party: Party): void {
  counts.objects[party].alarmsRun += 1;
}

/** The same environment, with every call through its namespaces counted as coming from `from`. */
export function countingEnv<Env extends object>(from: Party, env: Env): Env {
  const counted = { ...env } as Record<string, unknown>;
  for (const [name, to] of Object.entries(parties)) {
    const namespace = counted[name];
    if (typeof namespace === "object" && namespace !== null) counted[name] = countingNamespace(from, to, namespace);
  }
  return counted as Env;
}

const parties: Readonly<Record<string, Party>> = {
  SESSIONS: "session",
  TENANTS: "tenant",
  SHARDS: "shard",
  CONTROL: "control",
};

function countingNamespace(from: Party, to: Party, namespace: object): object {
  return new Proxy(namespace, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (property !== "get" && property !== "getByName") return value.bind(target) as unknown;
      return (...given: unknown[]) => countingStub(from, to, Reflect.apply(value, target, given) as object);
    },
  });
}

function countingStub(from: Party, to: Party, stub: object): object {
  return new Proxy(stub, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function" || typeof property !== "string") return value;
      return (...given: unknown[]): unknown => {
        counts.objects[to].calls += 1;
        add(counts.calls, `${from}>${to}.${property}`, 1);
        return Reflect.apply(value, target, given);
      };
    },
  });
}

function add(to: Record<string, number>, name: string, by: number): void {
  to[name] = (to[name] ?? 0) + by;
}

function nothing(): Counts {
  const none = (): ObjectCounts => ({ rowsRead: 0, rowsWritten: 0, alarmsSet: 0, alarmsRun: 0, calls: 0 });
  return {
    objects: { worker: none(), session: none(), tenant: none(), shard: none(), control: none() },
    calls: {},
    statements: {},
  };
}
