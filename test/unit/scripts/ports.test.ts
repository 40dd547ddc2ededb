/** Ports that are chosen first and bound later: nobody else may be given one in between. */
import { createServer, type AddressInfo, type Server } from "node:net";
import { expect, it } from "vitest";
import { firstOfKernel, freePort } from "../../../scripts/stack/ports.ts";

const listening = (port: number) =>
  new Promise<Server | null>((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });

it("[BUG-97] a port that is chosen is none that the kernel gives to whoever asks for any, nor to a connection", async () => {
  const kernel = firstOfKernel();
  expect(kernel).toBeGreaterThan(10_000);
  for (let tries = 0; tries < 20; tries += 1) {
    const port = (await freePort(0)) ?? 0;
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(port).toBeLessThan(kernel);
  }
  const given = await listening(0);
  if (given === null) throw new Error("nothing listens");
  expect((given.address() as AddressInfo).port).toBeGreaterThanOrEqual(kernel);
  given.close();
});

it("[BUG-97] a port that somebody listens on is not taken for free", async () => {
  const port = (await freePort(0)) ?? 0;
  const server = await listening(port);
  expect(server).not.toBeNull();
  expect(await freePort(port)).toBeNull();
  server?.close();
});
