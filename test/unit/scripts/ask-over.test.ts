/** How the probe and recipes call their Worker. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { askOver } from "../../../scripts/probe/ask-over.ts";

it("sends the argument and the token, and a failure carries what the Worker said", async () => {
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      seen.push([request.url, request.headers.authorization, body]);
      response.statusCode = request.url === "/box/fails" ? 500 : 200;
      response.end(JSON.stringify({ said: "something" }));
    });
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await askOver(url, "a-token", 10_000)("box", "exec", ["true"])).toEqual({ said: "something" });
  await expect(askOver(url, null, 10_000)("box", "fails")).rejects.toThrow('fails: 500 {"said":"something"}');
  expect(seen).toEqual([
    ["/box/exec", "Bearer a-token", '["true"]'],
    ["/box/fails", undefined, "null"],
  ]);
});
