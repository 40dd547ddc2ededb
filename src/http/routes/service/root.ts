/** `/`: where to go from here. A browser is sent to the docs page. */
import { docsContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import { accepts } from "../../request/headers.ts";
import { json, type OpenContext, type Route } from "../../route.ts";
import { serve } from "../../serve.ts";

async function root(context: OpenContext): Promise<Response> {
  if (accepts(context.request, "text/html")) return new Response(null, { status: 302, headers: { location: "/docs" } });
  return json(200, { name: "Mooring", docs: "/docs", openapi: "/openapi.json", health: "/healthz", ready: "/readyz" });
}

export const rootRoutes: readonly Route[] = [serve(docsContracts.root, root)];
