import { describe, expect, it } from "vitest";
import { routes } from "../../../../src/http/app.ts";
import { expectProblem, expectRefusal, httpClient, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const fits = { SANDBOX_PROVIDER: "memory", ...testSecrets };

describe("readiness", () => {
  it("is 200 only when nothing is missing, and needs no key", async () => {
    const client = await httpClient();
    const response = await client.send("GET", "/readyz", { key: null });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ status: "ready", provider: "memory" });
  });

  it.each(["ADMIN_TOKEN", "KEY_SIGNING_SECRET", "ENV_ENCRYPTION_KEY"] as const)(
    "names %s while it is unset",
    async (name) => {
      const client = await httpClient({ env: { ...fits, [name]: undefined } });
      const problem = await expectProblem(await client.send("GET", "/readyz", { key: null }), "unavailable");
      expect(problem.detail).toContain(`Mooring is not ready: The secret ${name} is not set.`);
    },
  );

  it("LOCAL_HOST_TOKEN is needed by the local provider only", async () => {
    const others = { ...testSecrets, LOCAL_HOST_TOKEN: undefined };
    const local = await httpClient({ env: { SANDBOX_PROVIDER: "local", ...others } });
    const problem = await expectProblem(await local.send("GET", "/readyz", { key: null }), "unavailable");
    expect(problem.detail).toContain("LOCAL_HOST_TOKEN");
    const memory = await httpClient({ env: { SANDBOX_PROVIDER: "memory", ...others } });
    expect((await memory.send("GET", "/readyz", { key: null })).status).toBe(200);
  });

  it("tells everything the backend lacks", async () => {
    const missing = ["The storage object does not answer.", "The local host is still scanning."];
    const client = await httpClient({ answers: { missing } });
    const problem = await expectProblem(await client.send("GET", "/readyz", { key: null }), "unavailable");
    for (const each of missing) expect(problem.detail).toContain(each);
  });
});

describe("a config that does not fit", () => {
  const env = { ...fits, LEASE_TTL_SECONDS: "30", ADMIN_TOKEN: "short-secret" };

  it.each(routes.filter((route) => route.access !== "open"))(
    "$method $path answers 503 to everyone, whatever they show [LEA-24]",
    async (route) => {
      const client = await httpClient({ env });
      const path = route.path.replace(":id", sampleId).replace(":job", "job-1");
      for (const key of [null, testSecrets.ADMIN_TOKEN, "short-secret"]) {
        await expectRefusal(path, await client.send(route.method, path, { key }), "unavailable");
      }
      await expectRefusal(path, await client.send(route.method, path), "unavailable");
      expect(client.calls).toEqual([]);
    },
  );

  it("[BUG-64] /readyz tells anybody the names, and values and rules only to who sends the admin token", async () => {
    const client = await httpClient({ env: { ...fits, LEASE_TTL_SECONDS: "30" } });
    const told = await expectProblem(await client.send("GET", "/readyz", { key: null }), "unavailable");
    expect(told.detail).toContain("LEASE_TTL_SECONDS does not fit.");
    expect(told.detail).not.toContain("=30");
    const wrong = await client.send("GET", "/readyz", { key: `${testSecrets.ADMIN_TOKEN}x` });
    expect((await expectProblem(wrong, "unavailable")).detail).not.toContain("=30");
    const admin = await client.send("GET", "/readyz", { key: testSecrets.ADMIN_TOKEN });
    expect((await expectProblem(admin, "unavailable")).detail).toContain("LEASE_TTL_SECONDS=30");
  });

  it("/healthz stays 200, /readyz names var, value and rule to the operator, and no secret's value [LEA-24] [SEC-3]", async () => {
    const client = await httpClient({ env: { ...fits, LEASE_TTL_SECONDS: "30" } });
    expect((await client.send("GET", "/healthz", { key: null })).status).toBe(200);
    const asOperator = { key: testSecrets.ADMIN_TOKEN };
    const problem = await expectProblem(await client.send("GET", "/readyz", asOperator), "unavailable");
    expect(problem.detail).toContain("LEASE_TTL_SECONDS=30");
    expect(problem.detail).toContain("lease TTL ≥ 3 × renewal");
    const short = await httpClient({ env });
    const told = await expectProblem(await short.send("GET", "/readyz", { key: null }), "unavailable");
    expect(told.detail).toContain("ADMIN_TOKEN does not fit");
    expect(told.detail + JSON.stringify(short.log)).not.toContain("short-secret");
  });
});
