/** Bodies on their way to a sandbox: one that says it is too long is refused at the front, on every door. */
import { expect, it } from "vitest";
import type { TenantId } from "../../../../src/domain/state/ids.ts";
import { maxTrafficBodyBytes } from "../../../../src/protocol/sandbox/traffic.ts";
import { httpClient, testSecrets } from "../../../support/http-client.ts";
import { sampleId } from "../../../support/sample-views.ts";

it.each([
  ["PUT", `/v1/sessions/${sampleId}/files?path=a`],
  ["PUT", `/v1/sessions/${sampleId}/files/archive?path=a`],
  ["POST", `/v1/sessions/${sampleId}/ports/3000/upload`],
  ["POST", "/files?path=a"],
])("%s %s refuses what says that it is too long, with the limit [SEC-4]", async (method, path) => {
  let sent = 0;
  const client = await httpClient({
    answers: { session: { owner: async () => "acme" as TenantId } },
    env: { SANDBOX_PROVIDER: "memory", ...testSecrets },
    traffic: async () => {
      sent += 1;
      return { ok: true, value: new Response("{}") };
    },
  });
  const headers = { "content-length": String(maxTrafficBodyBytes + 1), "e2b-sandbox-id": sampleId };
  const response = await client.send(method, path, { headers, body: "x" });
  expect([response.status, sent]).toEqual([413, 0]);
  expect(await response.text()).toContain(String(maxTrafficBodyBytes));
});
