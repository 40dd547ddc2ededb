/** `…/files`: files of a running sandbox. */
import { fileContracts, fileQueries } from "../../../protocol/contracts/sandbox/file-contracts.ts";
import type { Route, TenantContext } from "../../route.ts";
import { serve } from "../../serve.ts";
import { inSandbox, type ServiceCall } from "./in-sandbox.ts";

const through = (call: ServiceCall) => (context: TenantContext) => inSandbox(context, call);
const withBody = (call: ServiceCall) => (context: TenantContext) =>
  inSandbox(context, { ...call, body: context.request.body });

export const fileRoutes: readonly Route[] = [
  serve(fileContracts.read, through({ path: "files", query: fileQueries.read })),
  serve(fileContracts.write, withBody({ path: "files", query: fileQueries.write })),
  serve(fileContracts.remove, through({ path: "files", query: fileQueries.remove, empty: true })),
  serve(fileContracts.list, through({ path: "files/list", query: fileQueries.list })),
  serve(fileContracts.stat, through({ path: "files/stat", query: fileQueries.stat })),
  serve(fileContracts.mkdir, through({ path: "files/mkdir", query: fileQueries.mkdir })),
  serve(fileContracts.move, through({ path: "files/move", query: fileQueries.move })),
  serve(fileContracts.pack, through({ path: "files/archive", query: fileQueries.archive })),
  serve(fileContracts.unpack, withBody({ path: "files/archive", query: fileQueries.archive, empty: true })),
  serve(fileContracts.watch, through({ path: "files/watch", query: fileQueries.watch, quiet: true })),
];
