/** What Mooring is measured against: the least that a Hono route and one Durable Object can do, in the same workerd. */
import { DurableObject } from "cloudflare:workers";
import { Hono } from "hono";

/** One row, read or written in one call. */
export class FloorObject extends DurableObject {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS value (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT");
  }

  read(): string {
    const row = this.ctx.storage.sql.exec<{ text: string }>("SELECT text FROM value WHERE id = 1").toArray()[0];
    return row?.text ?? "{}";
  }

  write(text: string): void {
    this.ctx.storage.sql.exec("INSERT INTO value (id, text) VALUES (1, ?) ON CONFLICT DO UPDATE SET text = ?1", text);
  }
}

interface FloorEnv {
  readonly FLOOR: DurableObjectNamespace<FloorObject>;
}

export const floor = new Hono<{ Bindings: FloorEnv }>();

floor.get("/floor/:name", async (c) => {
  const { FLOOR } = c.env;
  return c.body(await FLOOR.get(FLOOR.idFromName(c.req.param("name"))).read(), 200, {
    "content-type": "application/json",
  });
});

floor.put("/floor/:name", async (c) => {
  const { FLOOR } = c.env;
  await FLOOR.get(FLOOR.idFromName(c.req.param("name"))).write(await c.req.text());
  return c.body(null, 204);
});
