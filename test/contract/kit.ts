/**
 * The conformance kit as a package: what an author of a provider outside of this repository imports. With any runner:
 *
 *     import { providerChecks, runCheck } from "mooring-provider-kit";
 *     for (const check of providerChecks) test(check.name, () => runCheck(check, myHarness));
 *
 * A check throws when the provider breaks the contract, and answers "not checked" when the harness lacks a power it needs.
 */
export { skeletonProvider, type Machines } from "../../examples/provider-skeleton.ts";
export type * from "../../src/domain/state/failure.ts";
export type * from "../../src/domain/state/ids.ts";
export type * from "../../src/sandbox/agent-sandbox.ts";
export { providerChecks, runCheck } from "./provider-check.ts";
export type * from "./provider-harness.ts";
