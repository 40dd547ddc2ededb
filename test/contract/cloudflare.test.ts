import { cloudflareHarness } from "./cloudflare-harness.ts";
import { describeProviderContract } from "./provider-contract.ts";

describeProviderContract("sandbox-sdk", cloudflareHarness, { concurrent: true });
