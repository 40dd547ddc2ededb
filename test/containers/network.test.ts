/** What a session's rules for the network do on a real container: refused and told, allowed, with a header that nobody in there knows. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { shortLeases } from "./support/leases.ts";
import { describeOnContainers } from "./support/real-containers.ts";
import { RealMooring } from "./support/real-mooring.ts";

/** Of this machine: requests to it leave the sandbox, pass the gate, and arrive at a server of this test. */
const host = hostname();
/** Of this machine too, and reached from an open sandbox. Not the address by which containers reach workerd. */
const address =
  Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith("docker"))
    .flatMap(([, addresses]) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "no address";
const everywhere = "0.0.0.0";
const secret = "the-credential-of-this-test";
const inject = [{ host, header: "x-credential", secret, plain_http: true }];

interface NetworkState {
  readonly network: { readonly mode: string; readonly state: string; readonly inject: readonly object[] };
}

describeOnContainers("the rules for the network of a session", () => {
  const mooring = new RealMooring(shortLeases);
  let server: Server;
  /** On ports of this machine that only a bare connection reaches: HTTPS to an address, and a port of no web server. */
  const bare: TcpServer[] = [];
  let reached = 0;
  const listenBare = async (port: number): Promise<number> => {
    const listener = createTcpServer((socket) => {
      reached += 1;
      socket.destroy();
    });
    bare.push(listener);
    listener.listen(port, everywhere);
    await once(listener, "listening");
    return (listener.address() as AddressInfo).port;
  };
  beforeAll(async () => {
    // Only ports 80 and 443 are taken on their way out.
    server = createServer((request, response) => {
      // Not said back: it would then be in the sandbox after all.
      response.end(`it got ${request.headers["x-credential"] === secret ? "the credential" : "none"}\n`);
    });
    server.listen(80, everywhere);
    await once(server, "listening");
    await mooring.start();
  });
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    for (const listener of bare) listener.close();
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

  it(
    "an address is reached by HTTP where a range has it, and nothing gets past the rules to an address [CON-10]",
    { timeout: 400_000 },
    async () => {
      const https = await listenBare(443);
      const other = await listenBare(0);
      const knock = (port: number): string =>
        `timeout 60 bash -c 'echo > /dev/tcp/${address}/${port}' 2>/dev/null; echo $?`;
      const open = await mooring.running();
      expect(await mooring.job(open, `${knock(https)}; ${knock(other)}`)).toBe("0\n0\n");
      await until("both were reached without rules", () => reached === 2);
      await mooring.ended(open);
      reached = 0;
      const id = await mooring.running({ network: { mode: "allow", allow: [`${address}/32`] } });
      expect(await mooring.job(id, `curl -s -m 20 http://${address}/`)).toBe("it got none\n");
      // A range lets through what names an address of it, and no name that leads there.
      expect(await codeOf(id, "http://203.0.113.7/")).toBe("403");
      expect(await codeOf(id, `http://${host}/`)).toBe("403");
      const bareTries = async (): Promise<string> =>
        mooring.job(
          id,
          [
            // TLS to an address names no host, so there is nothing to judge: the connection is closed, allowed or not.
            ...[address, "203.0.113.7"].map((to) => `curl -sk -o /dev/null -m 60 https://${to}/; echo $?`),
            ...[https, other].map(knock),
            // Bytes that are no TLS, on the port where TLS is taken.
            `timeout 60 bash -c 'exec 3<>/dev/tcp/${address}/443; printf "SSH-2.0-x\\r\\n" >&3; cat <&3' 2>/dev/null; echo read`,
          ].join("\n"),
        );
      const tls = "35";
      const told = (await bareTries()).trim().split("\n");
      expect(told.slice(0, 2)).toEqual([tls, tls]);
      expect(told.at(-1)).toBe("read");
      await mooring.call("PATCH", `/v1/sessions/${id}`, { network: { mode: "closed" } });
      await bareTries();
      expect(reached).toBe(0);
      await mooring.ended(id);
    },
  );
});
