/** The host that a TLS connection names, read from what a real client sends first. */
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { connect } from "node:tls";
import { describe, expect, it } from "vitest";
import { serverName } from "../../../scripts/containers/sidecar/interception.ts";

/** The first bytes of a client that was given this name, or an address. */
async function hello(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: "127.0.0.1", port, ...(servername === "" ? {} : { servername }) });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  let head = Buffer.alloc(0);
  for await (const chunk of socket) {
    head = Buffer.concat([head, chunk as Buffer]);
    if (head.length >= 5 && head.length >= 5 + head.readUInt16BE(3)) break;
  }
  client.destroy();
  server.close();
  return head;
}

describe("the name in a TLS connection", () => {
  it("is the host that the client asked for", async () => {
    expect(serverName(await hello("Denied.example.com"))).toBe("denied.example.com");
  });

  it("is none at once when the client has an address: nobody waits for more", async () => {
    expect(serverName(await hello(""))).toBe("");
    expect(serverName(Buffer.from("SSH-2.0-client\r\n"))).toBe("");
  });

  it("is waited for while the first message is not whole", async () => {
    const whole = await hello("example.com");
    for (const length of [1, 4, whole.length - 1]) expect(serverName(whole.subarray(0, length))).toBeNull();
  });
});
