/** The judge of the chaos runs must be able to say no: what it accepts and what it does not. */
import { describe, expect, it } from "vitest";
import type { TeardownView } from "../../../src/protocol/resources/session/sessions.ts";
import { ChaosClient } from "../../chaos/chaos-client.ts";
import { Outages } from "../../chaos/outages.ts";
import { judgeReceipt } from "../../chaos/verdict.ts";
import { z } from "zod";
import { createServer, type AddressInfo } from "node:net";

const look = (second: number, asked = "local/host-1/box-g1", answer: "absent" | "unknown" = "absent") => ({
  at: `2026-01-01T00:00:${String(second).padStart(2, "0")}.000Z`,
  asked,
  answer,
  detail: "",
});
const receipt: TeardownView = {
  session_id: "aaaaaaaaaaaaaaaaaaaa",
  generation: 1,
  sandbox_id: "box-g1",
  phase: "closed",
  reason: "terminated",
  requested_at: "2026-01-01T00:00:00.000Z",
  attempts: [],
  observations: [look(1), look(2)],
  parked: false,
  next_attempt_at: null,
  verified_absent_at: "2026-01-01T00:00:02.000Z",
  asserted_absent_at: null,
  evidence: "two looks",
};

describe("the judge of a receipt", () => {
  it("accepts two looks a second apart at one sandbox of one host", () => {
    expect(judgeReceipt(receipt)).toBeNull();
  });
  it.each([
    ["none at all", null],
    ["one that is still open", { ...receipt, phase: "stopping" as const }],
    ["an operator's word", { ...receipt, asserted_absent_at: "2026-01-01T00:00:02.000Z" }],
    ["one look", { ...receipt, observations: [look(1)] }],
    ["two looks of one instant", { ...receipt, observations: [look(1), look(1)] }],
    ["an unknown among the last two", { ...receipt, observations: [look(1), look(2, undefined, "unknown")] }],
    ["looks at two hosts", { ...receipt, observations: [look(1), look(2, "local/host-2/box-g1")] }],
    ["looks at another sandbox", { ...receipt, observations: [look(1, "local/h/box-g2"), look(2, "local/h/box-g2")] }],
    [
      "a look whose host is not known",
      { ...receipt, observations: [look(1, "local/box-g1"), look(2, "local/box-g1")] },
    ],
  ])("refuses %s", (_what, wrong) => {
    expect(judgeReceipt(wrong)).not.toBeNull();
  });
});

it("an outage excuses a loss only by the time in which nothing could be renewed", () => {
  const outages = new Outages();
  const now = Date.now();
  expect(outages.longestCalm(now - 20_000, now, "a")).toBe(20_000);
  outages.begin("workerd");
  outages.begin("another session");
  const open = outages.all.find((each) => each.what === "workerd");
  expect(outages.longestCalm((open?.from ?? 0) - 5_000, Date.now(), "a")).toBe(5_000);
});

it("an answer that is no valid problem is kept as a breach, and no answer is not", async () => {
  const answers = ["HTTP/1.1 500 Oops\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops", ""];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answers.shift() ?? ""));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new ChaosClient(url, "key", new AbortController().signal);
  expect(await client.ask("GET", "/v1/sessions", z.unknown())).toMatchObject({ type: "silence" });
  expect(client.breaches).toEqual(["GET /v1/sessions answered 500 without a valid problem: oops"]);
  expect(await client.ask("GET", "/v1/sessions", z.unknown())).toMatchObject({ type: "silence" });
  expect(client.breaches).toHaveLength(1);
  server.close();
});
