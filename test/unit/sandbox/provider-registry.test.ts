import { expect, it } from "vitest";
import type { AgentSandbox } from "../../../src/sandbox/agent-sandbox.ts";
import { providerRegistry } from "../../../src/sandbox/provider-registry.ts";

it("an adapter that is not wired is null, and one that is, is made once", () => {
  const made: AgentSandbox[] = [];
  const registry = providerRegistry({
    memory: () => {
      const adapter = { name: "memory" } as AgentSandbox;
      made.push(adapter);
      return adapter;
    },
  });
  expect(registry.wired).toEqual(["memory"]);
  expect(registry.get("cloudflare")).toBeNull();
  expect(registry.get("memory")).toBe(registry.get("memory"));
  expect(made).toHaveLength(1);
});
