/** What /readyz asks of the local host, against a real server on loopback. The objects' side is proven in workerd (test/http). */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { hostMissing } from "../../../src/wiring/durable-backend.ts";
import { systemClock } from "../../../src/wiring/system.ts";

const token = "local-host-token-of-this-test-0001";
const health = { host_id: "h", boot_id: "b", ready: true, version: "1" };

async function asked(listener: RequestListener, clock = systemClock): Promise<string | undefined> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const missing = await hostMissing({ url: `http://127.0.0.1:${port}`, token }, clock);
    expect(missing?.public ?? "").not.toContain(String(port));
    return missing?.detail;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const answering =
  (status: number, body: unknown): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };

describe("the local host, for readiness", () => {
  it("is not missing once it says that it is ready, and is asked with its own token", async () => {
    const seen: (string | undefined)[] = [];
    const missing = await asked((request, response) => {
      seen.push(request.url, request.headers.authorization);
      answering(200, health)(request, response);
    });
    expect(missing).toBeUndefined();
    expect(seen).toEqual(["/health", `Bearer ${token}`]);
  });

  it("that still scans is named as such [PHY-16]", async () => {
    expect(await asked(answering(200, { ...health, ready: false }))).toMatch(/has not finished looking/);
  });

  it("[BUG-105] that lost its state directory is named with its own words", async () => {
    const problem = "The state directory of the sandbox host is gone.";
    expect(await asked(answering(200, { ...health, ready: false, problem }))).toContain(problem);
  });

  it("[BUG-54] that answers on a full disk is named with its own words", async () => {
    const problem = "The disk is full: 0 bytes are free, 16777216 are needed.";
    expect(await asked(answering(200, { ...health, problem }))).toContain(problem);
  });

  it("[BUG-104] that belongs to another control plane is named as such", async () => {
    const reply = { code: "foreign_control_plane", message: "x" };
    expect(await asked(answering(409, reply))).toMatch(/another control plane/);
  });

  it("[BUG-108] whose clock is an hour ahead is named with both clocks", async () => {
    const clock = { now: () => Date.parse("2026-11-29T12:00:00Z"), sleep: () => new Promise<void>(() => {}) };
    const told = async (now: number) => await asked(answering(200, { ...health, now }), clock);
    expect(await told(clock.now() + 3_600_000)).toMatch(
      /it says 2026-11-29T13:00:00.000Z and this one says 2026-11-29T12:00:00/,
    );
    expect((await told(clock.now() + 5_000)) ?? null).toBeNull();
  });

  it("that refuses the token is not called silent", async () => {
    expect(await asked(answering(401, { code: "unauthorized", message: "x" }))).toMatch(
      /does not accept LOCAL_HOST_TOKEN/,
    );
  });

  it.each([
    ["answers an error", answering(500, { code: "internal", message: "x" })],
    ["answers another protocol", answering(200, { hello: true })],
    ["cuts the line", ((request) => void request.socket.destroy()) satisfies RequestListener],
  ] as const)("that %s is named with its address, not with its token", async (_what, listener) => {
    const missing = await asked(listener);
    expect(missing).toMatch(
      /^The local sandbox host at http:\/\/127\.0\.0\.1:\d+ \(LOCAL_HOST_URL\) does not answer\.$/,
    );
    expect(missing).not.toContain(token);
  });

  it("that hangs is given up in bounded time", async () => {
    const bounds: number[] = [];
    const clock = {
      now: () => 0,
      sleep: async (ms: number) => {
        bounds.push(ms);
      },
    };
    expect(await asked(() => undefined, clock)).toMatch(/does not answer/);
    expect(bounds).toEqual([3_000]);
  });
});
