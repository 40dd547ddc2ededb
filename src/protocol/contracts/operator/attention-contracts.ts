/** What needs somebody now: of the whole fleet for an operator, of its own sessions for a tenant. */
import { contract } from "../../contract.ts";
import { attentionView } from "../../resources/operator/attention.ts";

export const attentionContracts = {
  fleet: contract({
    access: "admin",
    tag: "Operating",
    operation: "getFleetAttention",
    method: "GET",
    path: "/v1/admin/attention",
    summary: "What needs somebody now",
    description:
      "One line per problem, worst first: what, since when, why (from `explain`) and the call that ends it. A part of the fleet that does not answer is a line too, so an empty list means that nothing is wrong.",
    answers: { 200: { means: "As it stands now.", body: attentionView } },
  }),
  own: contract({
    access: "tenant",
    tag: "Sessions",
    operation: "getAttention",
    method: "GET",
    path: "/v1/attention",
    summary: "Which of your sessions need somebody now",
    description:
      "Sessions that are lost, stuck, blocked or not proven gone in time, each with why and the call to make.",
    answers: { 200: { means: "As it stands now.", body: attentionView } },
  }),
} as const;
