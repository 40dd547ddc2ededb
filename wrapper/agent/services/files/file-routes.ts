/** The routes of files. */
import type { ServiceRoute } from "../exchange.ts";
import { packRoute, unpackRoute } from "./archive.ts";
import { mkdirRoute, moveRoute, removeRoute, statRoute } from "./entry-routes.ts";
import { listRoute } from "./listing.ts";
import type { FileMetadata } from "./metadata.ts";
import { resolvePath, type Places } from "./paths.ts";
import { readFileRoute } from "./reading.ts";
import { writeFileRoute } from "./writing.ts";

export function fileRoutes(places: Places, metadata: FileMetadata): readonly ServiceRoute[] {
  const read = readFileRoute(({ query }) => resolvePath(query.bytes("path"), places));
  return [
    { method: "GET", path: /^\/files$/, handle: read },
    { method: "HEAD", path: /^\/files$/, handle: read },
    { method: "PUT", path: /^\/files$/, handle: writeFileRoute(places, metadata) },
    { method: "DELETE", path: /^\/files$/, handle: removeRoute(places) },
    { method: "GET", path: /^\/files\/list$/, handle: listRoute(places, metadata.describe) },
    { method: "GET", path: /^\/files\/stat$/, handle: statRoute(places, metadata.describe) },
    { method: "POST", path: /^\/files\/mkdir$/, handle: mkdirRoute(places) },
    { method: "POST", path: /^\/files\/move$/, handle: moveRoute(places) },
    { method: "GET", path: /^\/files\/archive$/, handle: packRoute(places) },
    { method: "PUT", path: /^\/files\/archive$/, handle: unpackRoute(places) },
  ];
}
