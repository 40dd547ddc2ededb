/** The configuration for real containers on one machine. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { localConfig } from "../../../scripts/containers/local-config.ts";
import { repository } from "../../../scripts/repository.ts";

const deployed = readFileSync(join(repository, "wrangler.toml"), "utf8");

it("is the deployed one without the SDK's image, under a name and an engine of its own", () => {
  const local = localConfig(deployed, "mine", "unix:///engine.sock");
  expect(local).toMatch(/^name = "mine"$/m);
  expect(local).toMatch(/^enable_containers = true\ncontainer_engine = "unix:\/\/\/engine.sock"$/m);
  expect(local.match(/^\[\[containers\]\]$/gm)).toHaveLength(1);
  expect(local.match(/^\[containers\.ssh\]$/gm)).toHaveLength(1);
  expect(local).not.toContain("./Dockerfile");
  // The SDK's class stays bound: sessions of its provider are still there.
  expect(local).toContain('class_name = "SandboxContainer"');
});
