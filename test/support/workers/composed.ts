/** The product's Worker as it is deployed, with the simulator as one more provider. For the tests and the bench. */
import { memorySandbox } from "../../memory/memory-sandbox.ts";
import { MemoryWorld } from "../../memory/memory-world.ts";
import { compose } from "../../../src/wiring/compose.ts";
import { systemClock } from "../../../src/wiring/system.ts";
import type { Build } from "../../../src/wiring/wiring.ts";

/** One world for each isolate: every object sees the same sandboxes. */
let world: MemoryWorld | null = null;

export const buildWithMemory: Build = {
  providers: {
    memory: () => memorySandbox((world ??= new MemoryWorld({ clock: systemClock })), { clock: systemClock }),
  },
};

const mooring = compose(buildWithMemory);

export class SessionObject extends mooring.SessionObject {}
export class TenantObject extends mooring.TenantObject {}
export class FleetShard extends mooring.FleetShard {}
export { ContainerProxy } from "@cloudflare/sandbox";
export class SandboxContainer extends mooring.SandboxContainer {}
export class FleetControl extends mooring.FleetControl {}

export const { handler } = mooring;
