/** The container objects of Mooring, with nothing else of it: a test calls their methods over HTTP, as the adapter does over object RPC. */
import { systemClock, systemIds } from "../../../src/wiring/system.ts";
import { agentContainer } from "../../../src/sandbox/cloudflare/native/agent-container.ts";

interface ProviderEnv {
  readonly CONTAINERS: DurableObjectNamespace;
  readonly SNAPSHOTS: R2Bucket;
  readonly ASSETS: Fetcher;
  readonly LOCAL_IMAGE: string;
}

// oxlint-disable-next-line no-console -- the errors of the objects under test go into the run's output
const quiet = { info: () => {}, warn: () => {}, error: console.error };

export class AgentContainer extends agentContainer<ProviderEnv>(
  ({ ASSETS: assets, SNAPSHOTS: bucket, LOCAL_IMAGE: image }) => ({
    sleepAfterMs: 600_000,
    bucket,
    assets,
    terms: {
      templates: { base: { image, snapshot: null, instance: null } },
      orderWithinSeconds: 60,
      longestHoldMs: 6 * 3_600_000,
    },
    // No rules for the network here.
    seals: {
      seal: async (text) => text,
      open: async (text) => ({ ok: true, text }),
      renew: async () => ({ type: "current" }),
    },
    clock: systemClock,
    ids: systemIds,
    logger: quiet,
  }),
) {
  /** As an eviction does. The call that asks for it fails. */
  abort(): void {
    (this as unknown as { readonly ctx: DurableObjectState }).ctx.abort("A check has the object built anew.");
  }
}

/** An answer with a body of its own: its head stands in a header. */
const answerHeader = "x-answer";

// oxlint-disable-next-line import/no-default-export -- the platform takes a Worker by its default export
export default {
  async fetch(request: Request, { CONTAINERS: containers, SNAPSHOTS: bucket }: ProviderEnv): Promise<Response> {
    const [, name = "", method = ""] = new URL(request.url).pathname.split("/");
    if (method === "fetch") {
      const { pathname, search } = new URL(request.url);
      const path = `${pathname.slice(`/${name}/fetch`.length)}${search}`;
      return containers.get(containers.idFromName(name)).fetch(new Request(`http://sandbox${path}`, request));
    }
    const parameters = await request.json<unknown[]>();
    try {
      if (name === "bucket") {
        const [key] = parameters as [string];
        if (method === "delete") await bucket.delete(parameters[0] as string[]);
        if (method === "put") await bucket.put(key, String(parameters[1]));
        const found = method === "head" ? await bucket.head(key) : null;
        return Response.json(found === null ? null : { size: found.size });
      }
      const object = containers.get(containers.idFromName(name)) as unknown as Record<
        string,
        (...given: unknown[]) => Promise<unknown>
      >;
      const answer = await object[method]?.(...parameters);
      const { value, ...head } = answer as { readonly value?: unknown };
      if (!(value instanceof Response)) return Response.json(answer ?? null);
      const headers = new Headers(value.headers);
      headers.set(answerHeader, JSON.stringify({ ...head, status: value.status }));
      return new Response(value.body, { headers });
    } catch (error) {
      return Response.json({ thrown: error instanceof Error ? error.message : String(error) }, { status: 500 });
    }
  },
} satisfies ExportedHandler<ProviderEnv>;
