import { describe, expect, it } from "vitest";
import { expectProblem, httpClient, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const session = `/v1/sessions/${sampleId}`;

describe("durations", () => {
  const bad = [0, -1, 1.5, 1e300, 99_999_999, "60", "NaN", null, true, [60], { seconds: 60 }];

  it.each([
    [`${session}/timeout`, "timeout_seconds"],
    [`${session}/refresh`, "duration_seconds"],
  ])("POST %s: what is no allowed duration is 422 with the range [CLK-6]", async (path, field) => {
    const client = await httpClient();
    for (const json of [{}, ...bad.map((value) => ({ [field]: value }))]) {
      const problem = await expectProblem(await client.send("POST", path, { json }), "validation_failed");
      const error = problem.errors?.find((each) => each.pointer === `/${field}`);
      expect(error?.detail, JSON.stringify(json)).toContain("from 1 to 86400");
    }
    const empty = await expectProblem(await client.send("POST", path), "validation_failed");
    expect(empty.errors?.[0]).toMatchObject({ pointer: `/${field}`, detail: expect.stringContaining("required") });
    expect(client.calls).toEqual([]);
  });

  it.each([
    ["timeout_seconds", "from 1 to 86400"],
    ["idle_timeout_seconds", "or null to switch the idle clock off"],
    ["max_lifetime_seconds", "from 1 to 86400"],
  ])("create: %s is held to its range [CLK-6]", async (field, words) => {
    const client = await httpClient();
    for (const value of bad.filter((each) => each !== null || field !== "idle_timeout_seconds")) {
      const response = await client.send("POST", "/v1/sessions", { json: { [field]: value } });
      const problem = await expectProblem(response, "validation_failed");
      expect(problem.errors).toEqual([{ pointer: `/${field}`, detail: expect.stringContaining(words) }]);
    }
    expect(client.calls).toEqual([]);
  });

  it("the range in words is the configured one [CLK-6]", async () => {
    const env = { SANDBOX_PROVIDER: "memory", MAX_TIMEOUT_SECONDS: "7200", ...testSecrets };
    const client = await httpClient({ env });
    const response = await client.send("POST", `${session}/timeout`, { json: { timeout_seconds: 0 } });
    const problem = await expectProblem(response, "validation_failed");
    expect(problem.errors?.[0]?.detail).toContain("from 1 to 7200");
  });
});
