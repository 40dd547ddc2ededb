/** The API's description of itself, made once for each isolate when somebody asks for it (some 50 ms). */
import type { Contract } from "../../../protocol/contract.ts";
import { serviceContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import { openApiDocument } from "../../answer/openapi-document.ts";
import type { Route } from "../../route.ts";
import { serve } from "../../serve.ts";

/** `contracts`: of every route, these included; asked for late, because the table holds these routes too. */
export function descriptionRoutes(contracts: () => readonly Contract[]): readonly Route[] {
  let text: string | null = null;
  return [
    serve(serviceContracts.openapi, async () => {
      text ??= JSON.stringify(openApiDocument(contracts()));
      return new Response(text, { headers: { "content-type": "application/json" } });
    }),
  ];
}
