/** The routes of files. */
import type { ServiceRoute } from "../exchange.ts";
import { packRoute, unpackRoute } from "./archive.ts";
import { mkdirRoute, moveRoute, removeRoute, statRoute } from "./entry-routes.ts";
import { listRoute } from "./listing.ts";
import type { FileMetadata } from "./metadata.ts";
import { resolvePath, type BaseDirectories } from "./paths.ts";
import { readFileRoute } from "./reading.ts";
import { writeFileRoute } from "./writing.ts";

export function fileRoutes(base: BaseDirectories, metadata: FileMetadata): readonly ServiceRoute[] {
  const read = readFileRoute(({ query }) => resolvePath(query.bytes("path"), base));
  return [
    { method: "GET", path: /^\/files$/, handle: read },
    { method: "HEAD", path: /^\/files$/, handle: read },
    { method: "PUT", path: /^\/files$/, handle: writeFileRoute(base, metadata) },
    { method: "DELETE", path: /^\/files$/, handle: removeRoute(base) },
    { method: "GET", path: /^\/files\/list$/, handle: listRoute(base, metadata.describe) },
    { method: "GET", path: /^\/files\/stat$/, handle: statRoute(base, metadata.describe) },
    { method: "POST", path: /^\/files\/mkdir$/, handle: mkdirRoute(base) },
    { method: "POST", path: /^\/files\/move$/, handle: moveRoute(base) },
    { method: "GET", path: /^\/files\/archive$/, handle: packRoute(base) },
    { method: "PUT", path: /^\/files\/archive$/, handle: unpackRoute(base) },
  ];
}
