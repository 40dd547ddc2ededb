/** All of E2B's data plane: what its SDK calls "envd", under `/envd`. The Worker has checked who asks and passes the bytes through. */
import { markers } from "../../../../src/protocol/sandbox/markers.ts";
import type { ServiceRoute } from "../exchange.ts";
import type { BaseDirectories } from "../files/paths.ts";
import type { ClientProcesses } from "../processes/client-processes.ts";
import type { FileMetadata } from "../files/metadata.ts";
import { E2bPaths } from "./e2b-paths.ts";
import { EntryInfos } from "./entry-info.ts";
import { filesystemMethods } from "./filesystem-methods.ts";
import { processMethods } from "./process-methods.ts";
import { restRoutes } from "./rest.ts";
import { watchMethods } from "./watch-methods.ts";

export interface EnvdDependencies {
  readonly base: BaseDirectories;
  readonly processes: ClientProcesses;
  readonly metadata: FileMetadata;
  /** What the session gave every process. */
  readonly env: Readonly<Record<string, string>>;
}

export function envdRoutes({ base, processes, metadata, env }: EnvdDependencies): readonly ServiceRoute[] {
  const paths = new E2bPaths(base);
  const environment = {
    HOME: paths.base.home,
    E2B_SANDBOX: "true",
    E2B_SANDBOX_ID: process.env[markers.session] ?? "",
    ...env,
  };
  const entries = new EntryInfos(metadata, paths);
  return [
    ...processMethods(processes, paths, environment),
    ...filesystemMethods(paths, entries),
    ...watchMethods(paths, entries),
    ...restRoutes(paths, metadata),
  ];
}
