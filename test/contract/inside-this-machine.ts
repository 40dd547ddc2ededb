/** Servers for the checks of ports, where processes of a sandbox are processes of this machine: each needs a port that is free here. */
import { freePort } from "../../scripts/stack/ports.ts";
import { serverProgram } from "../support/sandbox-server.ts";

export const insideThisMachine = {
  server: (port: number): readonly string[] => [process.execPath, "-e", serverProgram, String(port)],
  port: async (): Promise<number> => (await freePort(0)) ?? 0,
};
