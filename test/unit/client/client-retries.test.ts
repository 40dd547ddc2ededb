/** What the client repeats, what it never does, and what its callers are told. Scripted answers: time is the client's only clock. */
import { describe, expect, it } from "vitest";
import {
  ConnectionError,
  isProblem,
  Mooring,
  MooringAdmin,
  ProblemError,
  UnexpectedAnswerError,
  WaitTimeoutError,
} from "../../../src/client/mooring.ts";
import { pauseMs } from "../../../src/client/wire/pacing.ts";
import { nativeContracts } from "../../../src/protocol/contracts/native-contracts.ts";
import type { ProblemCode } from "../../../src/protocol/problem.ts";
import { problemResponse } from "../../../src/http/answer/problem.ts";
import { clientCalls } from "../../support/client-calls.ts";
import { sampleId, sampleJob, sampleSession } from "../../support/sample-views.ts";

type Answer = (request: Request) => Response | Promise<Response>;

/** Answers in turn; the last one goes on for ever. */
function scripted(...answers: readonly [Answer, ...Answer[]]) {
  const requests: Request[] = [];
  const fetch = async (request: Request) => {
    requests.push(request.clone());
    return await (answers[Math.min(requests.length, answers.length) - 1] ?? answers[0])(request);
  };
  const options = { url: "https://mooring.test", fetch, retry: { baseMs: 1, maxMs: 50 } };
  return { requests, options, mooring: new Mooring({ ...options, key: "mrg_key" }) };
}

const lost: Answer = () => {
  throw new TypeError("fetch failed");
};
const ok =
  (body: unknown, headers: Record<string, string> = {}): Answer =>
  () =>
    new Response(JSON.stringify(body), { headers: { "content-type": "application/json", ...headers } });
const no =
  (code: ProblemCode, retryAt?: number): Answer =>
  () =>
    problemResponse(
      { code, detail: "What happened and what to do.", ...(retryAt === undefined ? {} : { retryAt }) },
      { requestId: "r1", now: Date.now(), url: "https://mooring.test/v1/sessions" },
    );

it("[BUG-30] followed output names the bytes that are no longer kept, and is resumed behind them", async () => {
  const events =
    (...all: readonly string[]): Answer =>
    () =>
      new Response(all.join(""), { headers: { "content-type": "text/event-stream" } });
  const event = (name: string, id: number, data: unknown) =>
    `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
  const { requests, mooring } = scripted(
    // The connection breaks right behind the gap.
    events(event("output", 4, { offset: 0, text: "head" }), event("gap", 90, { from: 4, to: 90 })),
    events(
      event("output", 94, { offset: 90, text: "tail" }),
      event("end", 94, { state: "succeeded", exit_code: 0, reason: "finished" }),
    ),
  );
  const chunks = [];
  for await (const chunk of mooring.session(sampleId).job("j").output()) chunks.push(chunk);
  expect(chunks).toEqual([
    { offset: 0, text: "head" },
    { offset: 4, text: "", gap: { from: 4, to: 90 } },
    { offset: 90, text: "tail" },
  ]);
  expect(requests.map(({ url }) => new URL(url).searchParams.get("offset"))).toEqual(["0", "90"]);
});

/** POSTs that may arrive twice: a create and a job carry their key; the others only ever add, or leave what is there already. */
const safePosts = [
  ...["createSession", "createJob", "refreshSession", "keepSessionAlive"],
  ...["makeDirectory", "resizeTerminal", "sharePort", "setSessionBudget"],
];
/** A delete that is repeated would answer `not_found` and call what worked a failure; content that was streamed cannot be sent again. */
const onceOnly = ["deleteWebhook", "removeFile", "writeFile", "unpackFiles"];

describe("a lost connection [API-10]", () => {
  it.each(nativeContracts.map(({ operation, method }) => [operation, method] as const))(
    "%s is repeated only if that is safe",
    async (operation, method) => {
      const { requests, options } = scripted(lost);
      const clients = {
        mooring: new Mooring({ ...options, key: "mrg_key" }),
        admin: new MooringAdmin({ ...options, token: "admin" }),
      };
      await expect(clientCalls[operation](clients)).rejects.toThrow(ConnectionError);
      const repeated = (method !== "POST" || safePosts.includes(operation)) && !onceOnly.includes(operation);
      expect(requests.length).toBe(repeated ? 5 : 1);
      // The very same request each time, its key included.
      const keys = requests.map(({ headers }) => headers.get("idempotency-key"));
      expect(new Set(keys).size).toBe(1);
      const bodies = await Promise.all(requests.map((request) => request.text()));
      expect(new Set(bodies).size).toBe(1);
    },
  );

  it("in the middle of an answer is one too: the create is sent again under its key", async () => {
    const broken: Answer = () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('{"id":'));
            controller.error(new Error("reset"));
          },
        }),
      );
    const { requests, mooring } = scripted(broken, ok(sampleSession()));
    expect((await mooring.create()).id).toBe(sampleId);
    expect(requests.map(({ headers }) => headers.get("idempotency-key"))).toEqual(
      Array.from({ length: 2 }, () => expect.stringMatching(/^[0-9a-f]{32}$/)),
    );
  });
});

describe("a problem", () => {
  it.each(["rate_limited", "unavailable", "storage_failed", "idempotency_in_flight"] as const)(
    "%s is waited out",
    async (code) => {
      const { requests, mooring } = scripted(no(code, Date.now() + 20), no(code, Date.now() + 20), ok(sampleSession()));
      // Retry-After is whole seconds; retry_at is exact, and comes first.
      expect((await mooring.session(sampleId).read()).id).toBe(sampleId);
      expect(requests).toHaveLength(3);
    },
  );

  it.each([
    "not_found",
    "quota_exhausted",
    "session_not_running",
    "sandbox_lost",
    "internal",
    "secret_missing",
  ] as const)("%s is told at once, with its code", async (code) => {
    const { requests, mooring } = scripted(no(code));
    const error = await mooring
      .session(sampleId)
      .read()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({
      code,
      requestId: "r1",
      message: "What happened and what to do.",
      name: "ProblemError",
    });
    expect([isProblem(error), isProblem(error, code), isProblem(error, "conflict")]).toEqual([true, true, false]);
    expect(requests).toHaveLength(1);
  });

  it("that asks for more patience than the client has is told at once", async () => {
    const { requests, mooring } = scripted(no("draining", Date.now() + 60_000));
    await expect(mooring.create()).rejects.toMatchObject({ code: "draining", retryAt: expect.any(Date) });
    expect(requests).toHaveLength(1);
  });

  it("to what may not be repeated is told at once, however retryable", async () => {
    const { requests, mooring } = scripted(no("unavailable", Date.now()));
    await expect(mooring.session(sampleId).interrupt()).rejects.toMatchObject({ code: "unavailable" });
    expect(requests).toHaveLength(1);
  });

  it("that is none of Mooring's says so", async () => {
    const { requests, mooring } = scripted(() => new Response("<html>502</html>", { status: 502 }));
    const error = await mooring
      .session(sampleId)
      .read()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnexpectedAnswerError);
    expect(error).toMatchObject({ status: 502, text: "<html>502</html>", request: `GET /v1/sessions/${sampleId}` });
    expect(requests).toHaveLength(5);
  });
});

describe("an abort", () => {
  it("ends a call, a pause between tries and a wait, with the caller's own reason", async () => {
    const reason = new Error("enough");
    const hangs: Answer = async ({ signal }) => {
      while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1));
      throw signal.reason as Error;
    };
    for (const [answer, run] of [
      [hangs, (mooring: Mooring, signal: AbortSignal) => mooring.session(sampleId).read({ signal })],
      [no("unavailable", Date.now() + 40), (mooring: Mooring, signal: AbortSignal) => mooring.page({}, { signal })],
      [
        ok(sampleSession()),
        (mooring: Mooring, signal: AbortSignal) => mooring.session(sampleId).until("paused", { signal }),
      ],
    ] as const) {
      const controller = new AbortController();
      const { mooring } = scripted(answer);
      const ended = run(mooring, controller.signal);
      controller.abort(reason);
      await expect(ended).rejects.toBe(reason);
    }
  });

  it("before anything is sent sends nothing", async () => {
    const { requests, mooring } = scripted(ok(sampleSession()));
    await expect(mooring.create({}, { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    expect(requests).toHaveLength(0);
  });
});

describe("waiting", () => {
  it("asks with the ETag, and takes 304 for `still`", async () => {
    const still: Answer = () => new Response(null, { status: 304 });
    const { requests, mooring } = scripted(
      ok(sampleSession({ status: "provisioning" }), { etag: '"1"' }),
      still,
      ok(sampleSession({ status: "running" })),
    );
    expect((await mooring.session(sampleId).until("running")).status).toBe("running");
    expect(requests.map(({ headers }) => headers.get("if-none-match"))).toEqual([null, '"1"', '"1"']);
  });

  it("for what can never come ends at once, and says why", async () => {
    const { mooring } = scripted(ok(sampleSession({ status: "failed", failure: "no image" })));
    const error = await mooring
      .session(sampleId)
      .until("running")
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(WaitTimeoutError);
    expect((error as Error).message).toContain("no image");
  });

  it("is bounded", async () => {
    const { mooring } = scripted(ok(sampleSession({ status: "provisioning" })));
    await expect(mooring.session(sampleId).until("running", { withinMs: 50 })).rejects.toThrow("still provisioning");
  });

  it("for a job holds the answer open instead of asking often", async () => {
    const { requests, mooring } = scripted(
      ok(sampleJob()),
      ok(sampleJob({ state: "failed", exit_code: 3, ended_at: "2026-03-01T12:00:00Z" })),
    );
    expect(await mooring.session(sampleId).job("job-1").done()).toMatchObject({ state: "failed", exit_code: 3 });
    expect(requests.map(({ headers }) => headers.get("prefer"))).toEqual(["wait=30", "wait=30"]);
  });
});

describe("the pause between two tries", () => {
  const terms = { attempts: 5, baseMs: 100, maxMs: 1_000 };
  it("doubles up to its bound, is anything below it, and never less than what was asked", () => {
    expect([1, 2, 3, 4, 5, 9].map((failures) => pauseMs(failures, terms, 0, () => 0.999))).toEqual([
      99, 199, 399, 799, 999, 999,
    ]);
    expect(pauseMs(4, terms, 0, () => 0)).toBe(0);
    expect(pauseMs(1, terms, 700, () => 0.5)).toBe(750);
  });
});

it("a credential that rotates is asked for before each try", async () => {
  let turn = 0;
  const { requests, options } = scripted(no("unavailable", Date.now()), ok(sampleSession()));
  const mooring = new Mooring({ ...options, key: async () => `key-${++turn}` });
  await mooring.session(sampleId).read();
  expect(requests.map(({ headers }) => headers.get("authorization"))).toEqual(["Bearer key-1", "Bearer key-2"]);
});
