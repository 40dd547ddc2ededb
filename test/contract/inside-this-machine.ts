/** Servers for the checks of ports, where processes of a sandbox are processes of this machine: each needs a port that is free here. */
import { freePort } from "../../scripts/stack/ports.ts";

export const insideThisMachine = {
  server: (port: number): readonly string[] => [
    process.execPath,
    "-e",
    `require("http").createServer((_, r) => r.end("inside")).listen(${port}, "127.0.0.1")`,
  ],
  port: async (): Promise<number> => (await freePort(0)) ?? 0,
};
