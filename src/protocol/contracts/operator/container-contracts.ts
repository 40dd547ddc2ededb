/** `/v1/admin/containers`: what an operator sees of shared containers, and the ways out of an end that is never proven. */
import {
  containerIdText,
  containerListQuery,
  containerOwnerQuery,
  containerPage,
  containerView,
  resolveContainerBody,
} from "../../resources/operator/containers.ts";
import { contract } from "../../contract.ts";

const admin = { access: "admin", tag: "Operating" } as const;
const one = { parameters: { id: containerIdText }, query: containerOwnerQuery } as const;

export const containerContracts = {
  list: contract({
    ...admin,
    operation: "listContainers",
    method: "GET",
    path: "/v1/admin/containers",
    summary: "Shared containers of all tenants",
    description:
      "By tenant, then by id, from the registries themselves: as they stand now. Those that are gone are listed with their receipts for 30 days.",
    query: containerListQuery,
    answers: { 200: { means: "One page.", body: containerPage } },
  }),
  read: contract({
    ...admin,
    ...one,
    operation: "inspectContainer",
    method: "GET",
    path: "/v1/admin/containers/:id",
    summary: "A shared container of any tenant",
    answers: { 200: { means: "As it stands now.", body: containerView, headers: ["etag"] } },
    problems: ["not_found"],
  }),
  resolve: contract({
    ...admin,
    ...one,
    operation: "resolveContainer",
    method: "POST",
    path: "/v1/admin/containers/:id/resolve",
    summary: "The way out of a container whose end is not proven",
    description: "Logged with your reason in the admin log. See docs/operations.md.",
    headers: ["if-match"],
    body: {
      schema: resolveContainerBody,
      required: true,
      example: { action: "retry_stop", reason: "the host answers again" },
    },
    answers: { 200: { means: "As it stands now.", body: containerView, headers: ["etag"] } },
    problems: ["not_found", "precondition_required", "precondition_failed", "not_stuck", "lease_not_expired"],
  }),
} as const;
