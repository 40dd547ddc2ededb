/** The typed client against the real HTTP app: each native route has its method, and each method asks that route. */
import { describe, expect, it } from "vitest";
import { Mooring, MooringAdmin } from "../../../src/client/mooring.ts";
import { routes } from "../../../src/http/app.ts";
import { nativeContracts } from "../../../src/protocol/contracts/native-contracts.ts";
import { holdToDocument, operationOf } from "../../support/documented.ts";
import { clientCalls } from "../../support/client-calls.ts";
import { httpClient, testKey, testSecrets } from "../../support/http-client.ts";

describe("each native route has its method in the client [API-10]", () => {
  it.each(nativeContracts.map(({ operation }) => operation))("%s", async (operation) => {
    const app = await httpClient();
    const asked: string[] = [];
    const options = {
      url: "https://mooring.test",
      retry: { attempts: 1 },
      fetch: async (request: Request) => {
        const { method, url } = request;
        const found = operationOf(method, url);
        asked.push(found?.operationId ?? `${method} ${url}`);
        const response = await app.fetch(request);
        await holdToDocument(method, new URL(url).pathname, response);
        return response;
      },
    };
    const clients = {
      mooring: new Mooring({ ...options, key: await testKey() }),
      admin: new MooringAdmin({ ...options, token: testSecrets.ADMIN_TOKEN }),
    };
    // There are no runs, plans and sandboxes in this app: for those routes a refusal of theirs is an answer too.
    await clientCalls[operation](clients).catch((error: unknown) => {
      expect(error).toMatchObject({
        code: expect.stringMatching(/^(not_found|unsupported_by_provider|sandbox_unreachable)$/),
      });
    });
    expect(asked).toEqual([operation]);
  });

  it("and the list of native routes leaves out none but those of other APIs and of the pages for browsers", () => {
    const native = new Set<string>(nativeContracts.map(({ operation }) => operation));
    const foreign = ["Runbook", "E2B", "CubeSandbox"];
    const left = routes.filter(
      ({ tag, operation, path }) => !native.has(operation) && !foreign.includes(tag) && !path.startsWith("/console"),
    );
    expect(left.map(({ path }) => path)).toEqual(["/v1/sessions/:id/terminal", "/docs", "/docs/:file", "/"]);
  });

  it("and there is no method for a route that does not exist", () => {
    expect(Object.keys(clientCalls).toSorted()).toEqual(nativeContracts.map(({ operation }) => operation).toSorted());
  });
});
