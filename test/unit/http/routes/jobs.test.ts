import { describe, expect, it } from "vitest";
import { jobPage } from "../../../../src/protocol/resources/session/jobs.ts";
import { expectProblem, httpClient } from "../../../support/http-client.ts";
import { sampleId, sampleJob } from "../../../support/sample-views.ts";

describe("jobs", () => {
  const jobs = `/v1/sessions/${sampleId}/jobs`;

  it("a new job is 201 with its place, one that was there already 200 and marked [FEN-7]", async () => {
    const fresh = await httpClient();
    const created = await fresh.send("POST", jobs, { json: { id: "job-1", command: "true" } });
    expect([created.status, created.headers.get("location")]).toEqual([201, `${jobs}/job-1`]);
    expect(created.headers.get("idempotency-replayed")).toBeNull();
    const createJob = async () => ({ ok: true, value: { job: sampleJob(), replayed: true } }) as const;
    const again = await httpClient({ answers: { session: { createJob } } });
    const replayed = await again.send("POST", jobs, { json: { id: "job-1", command: "true" } });
    expect([replayed.status, replayed.headers.get("idempotency-replayed")]).toEqual([200, "true"]);
  });

  it("waits for a job as long as Prefer says", async () => {
    const client = await httpClient();
    await client.send("GET", `${jobs}/job-1`, { headers: { prefer: "wait=10" } });
    expect(client.calls[0]?.args.slice(1)).toEqual(["job-1", 10_000]);
  });

  it("lists by cursor: a full page names the next, a short one does not", async () => {
    const page = (count: number) => Array.from({ length: count }, (_, n) => sampleJob({ id: `job-${n}` }));
    const client = await httpClient({ answers: { session: { jobs: async () => ({ ok: true, value: page(2) }) } } });
    const full = await client.send("GET", `${jobs}?limit=2&cursor=job-9`);
    expect(jobPage.parse(await full.json())).toMatchObject({ next_cursor: "job-1" });
    expect(client.calls[0]?.args.slice(1)).toEqual(["job-9", 2]);
    expect(await (await client.send("GET", `${jobs}?limit=3`)).json()).toMatchObject({ next_cursor: null });
  });

  it("cancelling is 200 once it has ended, 202 while it is being ended", async () => {
    const ended = await httpClient();
    expect((await ended.send("DELETE", `${jobs}/job-1`)).status).toBe(200);
    const cancelJob = async () => ({ ok: true, value: sampleJob() }) as const;
    const ending = await httpClient({ answers: { session: { cancelJob } } });
    expect((await ending.send("DELETE", `${jobs}/job-1`)).status).toBe(202);
  });

  it("stdin takes any bytes of any type, closes when asked, and an empty write is refused", async () => {
    const client = await httpClient();
    const bytes = new Uint8Array([0, 255, 10, 13]);
    const written = await client.send("POST", `${jobs}/job-1/stdin`, {
      body: bytes,
      headers: { "content-type": "image/png" },
    });
    expect([written.status, await written.text()]).toEqual([204, ""]);
    expect((await client.send("POST", `${jobs}/job-1/stdin?end=true`)).status).toBe(204);
    expect(client.calls.map((call) => call.args.slice(1))).toEqual([
      ["job-1", bytes, false],
      ["job-1", new Uint8Array(0), true],
    ]);
    await expectProblem(await client.send("POST", `${jobs}/job-1/stdin`), "validation_failed");
    await expectProblem(await client.send("POST", `${jobs}/job-1/stdin?end=maybe`), "validation_failed");
    await expectProblem(
      await client.send("POST", `${jobs}/job-1/stdin`, { body: new Uint8Array(300_000) }),
      "payload_too_large",
    );
    expect(client.calls).toHaveLength(2);
  });
});
