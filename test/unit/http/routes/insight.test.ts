import { describe, expect, it } from "vitest";
import { logsView, resourcesView } from "../../../../src/protocol/resources/session/insight.ts";
import { expectProblem, httpClient, refusal, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

const own = `/v1/sessions/${sampleId}`;
const any = `/v1/admin/sessions/${sampleId}`;

describe("resources and logs", () => {
  it("are asked as the key's tenant, or as nobody's with the admin token [SEC-2]", async () => {
    const client = await httpClient();
    resourcesView.parse(await (await client.send("GET", `${own}/resources`)).json());
    logsView.parse(await (await client.send("GET", `${own}/logs?tail_bytes=100`)).json());
    resourcesView.parse(await (await client.send("GET", `${any}/resources`)).json());
    logsView.parse(await (await client.send("GET", `${any}/logs`)).json());
    const tenant = expect.objectContaining({ tenant: "acme" }) as unknown;
    expect(client.calls.map(({ method, args }) => [method, ...args])).toEqual([
      ["resources", tenant],
      ["logs", tenant, 100],
      ["resources", null],
      ["logs", null, 8_192],
    ]);
    const crossed = await client.send("GET", `${any}/logs`, { key: null });
    await expectProblem(crossed, "unauthorized");
    await expectProblem(await client.send("GET", `${own}/logs`, { key: testSecrets.ADMIN_TOKEN }), "unauthorized");
  });

  it.each(["0", "65537", "-1", "many", "8192&surprise=1"])(
    "refuses tail_bytes=%s before any object is asked",
    async (bytes) => {
      const client = await httpClient();
      await expectProblem(await client.send("GET", `${own}/logs?tail_bytes=${bytes}`), "validation_failed");
      expect(client.calls).toEqual([]);
    },
  );

  it("of a sandbox that does not answer are 503, and say what to do", async () => {
    const detail = "The sandbox could not be looked at: no answer within 10 s. Try again in some seconds.";
    const resources = async () => refusal({ code: "sandbox_unreachable", detail });
    const client = await httpClient({ answers: { session: { resources } } });
    await expectProblem(await client.send("GET", `${own}/resources`), "sandbox_unreachable");
  });
});
