/** The table of failures against the installed SDK itself: every code and every class that it has is known, and means what it should. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startRefused } from "../../../src/sandbox/cloudflare/fence/start-gate.ts";
import { codeMeanings, nameMeanings, sdkFailure } from "../../../src/sandbox/cloudflare/sdk/sdk-failure.ts";

const directory = join(import.meta.dirname, "../../../node_modules/@cloudflare/sandbox/dist");
const sources = readdirSync(directory)
  .filter((file) => /^(sandbox|errors|dist)-.*\.js$/.test(file))
  .map((file) => readFileSync(join(directory, file), "utf8"))
  .join("\n");

const [, registry = ""] = /const ErrorCode = \{([^}]*)\}/.exec(sources) ?? [];
const codes = [...registry.matchAll(/([A-Z0-9_]+): "/g)].map(([, code]) => code ?? "");
const classes = [...sources.matchAll(/(?:var|class) (\w+Error) (?:= class )?extends (\w+) \{/g)].map(
  ([, name, base]) => ({ name: name ?? "", base: base ?? "" }),
);

/** As the SDK throws it, and as it arrives after object RPC: without its class and its getters. */
function thrown(code: string, context: object = {}, name = "SandboxError"): Error {
  return Object.assign(new Error(`something about ${code}`), {
    name,
    errorResponse: { code, message: `something about ${code}`, context },
  });
}

describe("every failure of the SDK has a meaning", () => {
  it("no code of the installed SDK is missing from the table", () => {
    expect(codes.length).toBeGreaterThan(60);
    expect(codes.filter((code) => codeMeanings[code] === undefined)).toEqual([]);
    expect(Object.keys(codeMeanings).filter((code) => !codes.includes(code))).toEqual([]);
  });

  it("every class of it carries a code, or is known by its name", () => {
    expect(classes.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["SandboxError", "ContainerUnavailableError", "OperationInterruptedError"]),
    );
    const coded = new Set(["SandboxError", "BucketMountError"]);
    const bare = classes.filter(({ name, base }) => !coded.has(base) && !coded.has(name));
    expect(bare.map(({ name }) => name).filter((name) => nameMeanings[name] === undefined)).toEqual([]);
  });

  it.each(codes)("%s is told by its code, with and without its class", (code) => {
    const meaning = codeMeanings[code];
    if (code === "RPC_TRANSPORT_ERROR") return;
    expect(sdkFailure(thrown(code), true)).toMatchObject(meaning ?? {});
    expect(
      sdkFailure(structuredClone({ errorResponse: { code, context: {} }, message: "lost its class" }), true),
    ).toMatchObject(meaning ?? {});
    // A read has no effect, whatever became of it.
    expect(sdkFailure(thrown(code), false).effect).toBe("none");
  });
});

describe("what a failure says about the effect", () => {
  const unavailable = "CONTAINER_UNAVAILABLE";
  it.each([
    ["no instance", thrown(unavailable, { reason: "no_container_instance_available" }), "no_capacity", "none"],
    ["too many instances", thrown(unavailable, { reason: "max_container_instances_exceeded" }), "no_capacity", "none"],
    ["still starting", thrown(unavailable, { reason: "container_starting" }), "unavailable", "none"],
    [
      "replaced midway",
      thrown("OPERATION_INTERRUPTED", { reason: "runtime_replaced", admitted: "unknown" }),
      "unavailable",
      "unknown",
    ],
    ["interrupted before it was admitted", thrown("OPERATION_INTERRUPTED", { admitted: false }), "unavailable", "none"],
    ["never connected", thrown("RPC_TRANSPORT_ERROR", { kind: "connection_failed" }), "unavailable", "none"],
    ["cut off", thrown("RPC_TRANSPORT_ERROR", { kind: "peer_closed" }), "unavailable", "unknown"],
    ["nonsense on the wire", thrown("RPC_TRANSPORT_ERROR", { kind: "invalid_frame" }), "malformed", "unknown"],
    ["process not found", thrown("PROCESS_NOT_FOUND"), "not_found", "none"],
    ["no space", thrown("NO_SPACE"), "insufficient_space", "unknown"],
    ["read-only", thrown("READ_ONLY"), "filesystem_unusable", "none"],
    [
      "the runtime's own words",
      new Error("There is no container instance that can be provided to this Durable Object"),
      "no_capacity",
      "none",
    ],
    [
      "the same as a cause",
      new Error("Container failed to start", {
        cause: new Error("Maximum number of running container instances exceeded"),
      }),
      "no_capacity",
      "none",
    ],
    ["nobody listens", new Error("Container is not listening to port 8080"), "unavailable", "none"],
    ["refused by the fence", new Error(`${startRefused}: no launch is under way.`), "refused_retired", "none"],
    ["an error of nobody's own", thrown("INTERNAL_ERROR"), "unavailable", "unknown"],
    [
      "an overloaded object",
      Object.assign(new Error("Durable Object is overloaded."), { overloaded: true }),
      "unavailable",
      "none",
    ],
    [
      "a reset object",
      Object.assign(new Error("Durable Object reset because its code was updated."), { durableObjectReset: true }),
      "unavailable",
      "unknown",
    ],
    ["a lost connection", new Error("Network connection lost."), "unavailable", "unknown"],
    ["a thing that is no error", "boom", "unavailable", "unknown"],
    ["nothing", undefined, "unavailable", "unknown"],
  ] as const)("%s", (_, error, code, effect) => {
    expect(sdkFailure(error, true)).toMatchObject({ code, effect });
  });

  it("when to come back is passed on", () => {
    expect(sdkFailure(thrown(unavailable, { retryAfterMs: 3_000 }), true).retryAfterMs).toBe(3_000);
    expect(sdkFailure(thrown(unavailable), true)).not.toHaveProperty("retryAfterMs");
  });

  it("no stack and no endless message", () => {
    const { message } = sdkFailure(new Error("x".repeat(10_000)), true);
    expect(message.length).toBeLessThanOrEqual(500);
    expect(message).not.toContain(" at ");
  });
});
