/** How a contract and its handler become a route: what is sent is checked by the contract, what is made is answered as it says. */
import type { z } from "zod";
import type { Access, Contract } from "../protocol/contract.ts";
import type { Reply } from "../protocol/problem.ts";
import { readJson, readNoFields } from "./request/body.ts";
import { readQuery } from "./request/headers.ts";
import type { Ranges } from "./request/validation.ts";
import { type ContextOf, json, problem, type Served } from "./route.ts";

/**
 * What a handler makes: a response; a value, which is answered with the first status of the contract; or a problem, which is
 * answered as one.
 */
export type Made = Response | Reply<unknown>;
type Make<A extends Access, Sent extends readonly unknown[] = []> = (
  context: ContextOf[A],
  ...sent: Sent
) => Promise<Made>;

/** The checked query of a contract, and its checked body. */
export type QueryOf<C extends { readonly query: z.ZodType }> = z.output<C["query"]>;
export type BodyOf<C extends { readonly body: { readonly schema: z.ZodType } }> = z.output<C["body"]["schema"]>;

/** A contract without fields is held to that here. Whatever else is sent, the handler reads. */
export function serve<A extends Access>(contract: Contract<A>, make: Make<A>): Served<A> {
  const status = Number(Object.keys(contract.answers)[0]);
  const isEmpty = contract.answers[status]?.body === undefined;
  return {
    ...contract,
    handle: async (context) => {
      const sent = contract.body === "no fields" ? await readNoFields(context.request) : null;
      const made = sent?.ok === false ? sent : await make(context);
      if (made instanceof Response) return made;
      if (!made.ok) return problem(context, made.problem);
      return isEmpty ? new Response(null, { status }) : json(status, made.value);
    },
  };
}

/** The handler gets the query of the contract, checked. */
export function serveQuery<A extends Access, Q extends z.ZodObject>(
  contract: Contract<A> & { readonly query: Q },
  make: Make<A, [query: z.output<Q>]>,
): Served<A> {
  return serve(contract, async (context) => {
    const query = readQuery(context.request, contract.query);
    return query.ok ? await make(context, query.value) : query;
  });
}

/** The handler gets the body of the contract, checked. `ranges` are those that the configuration sets. */
export function serveBody<A extends Access, S extends z.ZodType>(
  contract: Contract<A> & { readonly body: { readonly schema: S; readonly required: boolean } },
  make: Make<A, [body: z.output<S>]>,
  ranges: (context: ContextOf[A]) => Ranges = () => ({}),
): Served<A> {
  const empty = contract.body.required ? "refused" : "no fields";
  return serve(contract, async (context) => {
    const body = await readJson(context.request, contract.body.schema, { ranges: ranges(context), empty });
    return body.ok ? await make(context, body.value) : body;
  });
}
