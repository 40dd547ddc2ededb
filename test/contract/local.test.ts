import { localHarness } from "./local-harness.ts";
import { describeProviderContract } from "./provider-contract.ts";

describeProviderContract("local", localHarness, { concurrent: true });
