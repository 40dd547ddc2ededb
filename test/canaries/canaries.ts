/** Every broken variant. Each must be noticed by the suite that claims the behaviour; `npm run canaries` breaks them one after the other. */
import type { Canary } from "./canary.ts";
import { domainCanaries } from "./domain-canaries.ts";
import { sandboxCanaries } from "./sandbox-canaries.ts";
import { serviceCanaries } from "./service-canaries.ts";
import { shellCanaries } from "./shell-canaries.ts";
import { snapshotCanaries } from "./snapshot-canaries.ts";

export const canaries: readonly Canary[] = [
  ...domainCanaries,
  ...shellCanaries,
  ...sandboxCanaries,
  ...serviceCanaries,
  ...snapshotCanaries,
];
