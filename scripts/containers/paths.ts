/** Where the container engine of this checkout keeps its things. Outside the checkout: its disk layers need a plain file system and root. */
import { join } from "node:path";

/** Kept between runs, because it holds the images: a warm start then takes seconds. `npm run test:containers -- --clean` removes it. */
export const engineDirectory = process.env["MOORING_ENGINE_DIRECTORY"] ?? "/var/tmp/mooring-engine";

export const enginePaths = {
  data: join(engineDirectory, "data"),
  exec: join(engineDirectory, "exec"),
  pidFile: join(engineDirectory, "engine.pid"),
  /** Process id of the script that has to end the engine. */
  owner: join(engineDirectory, "owner.pid"),
  socket: join(engineDirectory, "engine.sock"),
  log: join(engineDirectory, "engine.log"),
  packages: join(engineDirectory, "packages"),
} as const;

/** Local names; nothing is ever pushed or pulled. */
export const imageNames = {
  base: "mooring-local/base",
  apt: "mooring-local/apt",
  sidecar: "mooring-local/sidecar",
} as const;
