/** What a session's rules for the network do on a real container: refused and told, allowed, with a header that nobody in there knows. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { hostname } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { shortLeases } from "./support/leases.ts";
import { describeOnContainers } from "./support/real-containers.ts";
import { RealMooring } from "./support/real-mooring.ts";

/** Of this machine: requests to it leave the sandbox, pass the gate, and arrive at a server of this test. */
const host = hostname();
const secret = "the-credential-of-this-test";
const inject = [{ host, header: "x-credential", secret, plain_http: true }];

interface NetworkState {
  readonly network: { readonly mode: string; readonly state: string; readonly inject: readonly object[] };
}

describeOnContainers("the rules for the network of a session", () => {
  const mooring = new RealMooring(shortLeases);
  let server: Server;
  beforeAll(async () => {
    // Only ports 80 and 443 are taken on their way out.
    server = createServer((request, response) => {
      // Not said back: it would then be in the sandbox after all.
      response.end(`it got ${request.headers["x-credential"] === secret ? "the credential" : "none"}\n`);
    });
    server.listen(80, host);
    await once(server, "listening");
    await mooring.start();
  });
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    await mooring.stop();
  });

  const codeOf = async (id: string, url: string): Promise<string> =>
    (await mooring.job(id, `curl -s -o /dev/null -m 20 -w '%{http_code}' ${url} || true`)).trim();

  it(
    "closed, allow and inject hold from the start, after a change and after a resume; refusals are told [CON-10]",
    { timeout: 400_000 },
    async () => {
      const id = await mooring.running({ network: { mode: "allow", allow: ["*.example.org"], inject } });
      expect(await mooring.job(id, `curl -s -m 20 http://${host}/`)).toBe("it got the credential\n");
      expect(await codeOf(id, "http://example.com/")).toBe("403");
      // Its certificate is one that programs in the sandbox trust.
      expect(await codeOf(id, "https://denied.example.com/")).toBe("403");
      const told = await until(
        "refusals are told",
        async () => {
          const denied = (await mooring.events(id))
            .filter(({ type }) => type === "network_denied")
            .flatMap(({ facts }) => Object.keys(facts));
          return denied.includes("example.com") && denied.includes("denied.example.com") ? denied : null;
        },
        60_000,
      );
      expect(told).not.toContain(host);
      // No other kind of connection leaves it.
      expect(await mooring.job(id, "timeout 5 bash -c 'echo > /dev/tcp/203.0.113.7/22' 2>/dev/null; echo $?")).not.toBe(
        "0\n",
      );

      const changed = await mooring.call<NetworkState>("PATCH", `/v1/sessions/${id}`, { network: { mode: "closed" } });
      expect(changed.network).toMatchObject({ mode: "closed", state: "applied" });
      expect(await codeOf(id, `http://${host}/`)).toBe("403");
      await mooring.call("PATCH", `/v1/sessions/${id}`, { network: { mode: "allow", allow: [], inject } });
      await mooring.call("POST", `/v1/sessions/${id}/pause`, {});
      await mooring.becomes(id, "paused");
      await mooring.call("POST", `/v1/sessions/${id}/resume`, {});
      await mooring.becomes(id, "running");
      expect(await mooring.job(id, `curl -s -m 20 http://${host}/`)).toBe("it got the credential\n");
      expect(await codeOf(id, "http://example.com/")).toBe("403");

      // As root, past everything: files and the environment of every process.
      const found = mooring.readInContainer(
        id,
        `grep -rlsa ${secret} /etc /run /tmp /home /workspace /var/lib /proc/[0-9]*/environ 2>/dev/null | head; echo searched`,
      );
      expect(found).toBe("searched\n");
      const view = JSON.stringify(await mooring.call("GET", `/v1/sessions/${id}`));
      const events = JSON.stringify(await mooring.call("GET", `/v1/sessions/${id}/events?limit=100`));
      expect(view + events + mooring.log()).not.toContain(secret);
      await mooring.ended(id);
    },
  );
});
