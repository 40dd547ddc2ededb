import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { durableSql } from "../../src/storage/durable-sql.ts";
import { sqlContract } from "../support/sql-contract.ts";

let count = 0;

sqlContract("workerd", async (body) => {
  const { SHARDS } = env as unknown as { readonly SHARDS: DurableObjectNamespace };
  // Any object's storage will do, as long as nobody used it.
  const stub = SHARDS.get(SHARDS.idFromName(`sql-contract-${count++}`));
  await runInDurableObject(stub, (_, state) => body(durableSql(state.storage)));
});
