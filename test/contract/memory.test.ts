import { memoryHarness } from "./memory-harness.ts";
import { describeProviderContract } from "./provider-contract.ts";

describeProviderContract("memory", memoryHarness);
