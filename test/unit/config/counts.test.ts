import { expect, it } from "vitest";
import { readConfig } from "../../../src/config/config.ts";
import { providerNames } from "../../../src/domain/state/provider-names.ts";

it("STOP_ATTEMPTS is how many stop attempts a round has", () => {
  const reading = readConfig({ STOP_ATTEMPTS: "2" }, providerNames);
  expect(reading).toMatchObject({ ok: true, config: { policy: { stopAttempts: 2 } } });
});
