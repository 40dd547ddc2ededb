/** The image, the package and the configuration say the same. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { countVars } from "../../../src/config/config-vars.ts";
import { transferPort, seatCount, seatPorts, wrapperPort } from "../../../src/protocol/sandbox/toolbox.ts";
import { freshDisk, instanceType } from "../../../src/sandbox/cloudflare/sdk/fresh-disk.ts";
import { imageUser } from "../../../src/sandbox/cloudflare/sdk/job-user.ts";
import { imagePaths } from "../../../src/sandbox/cloudflare/platform/toolbox-calls.ts";

const read = (file: string): string => readFileSync(join(import.meta.dirname, "../../..", file), "utf8");
const dockerfile = read("Dockerfile");
const config = read("wrangler.toml");

it("the image is the SDK's of exactly the installed version", () => {
  const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
  const { version } = JSON.parse(read("node_modules/@cloudflare/sandbox/package.json")) as { version: string };
  expect(dependencies["@cloudflare/sandbox"]).toBe(version);
  expect(dockerfile.match(/^FROM (.+)$/m)?.[1]).toBe(`docker.io/cloudflare/sandbox:${version}`);
});

it("the image has the programs where the provider looks for them, and its context is those two files", () => {
  const [, sources = "", target = ""] = /^COPY (.+) (\S+\/)$/m.exec(dockerfile) ?? [];
  expect(sources.split(" ").map((file) => `${target}${file.replace("dist/", "")}`)).toEqual([
    imagePaths.wrapper,
    imagePaths.toolbox,
  ]);
  expect(dockerfile).toContain(`install -d -m 0700 ${imagePaths.state}`);
  const ignored = read(".dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(ignored).toEqual(["*", ...sources.split(" ").map((file) => `!${file}`)]);
});

it("the image has the user of jobs, by the number and with the home that its wrapper is told", () => {
  const { uid, gid, home_dir: home } = imageUser;
  expect(dockerfile).toContain(`groupadd --gid ${gid} `);
  expect(dockerfile).toContain(`useradd --uid ${uid} --gid ${gid} --no-create-home --home-dir ${home} `);
  expect(dockerfile).toContain(`install -d -o ${uid} -g ${gid} -m 0700 ${home}`);
});

it("the ports of the image are those that are called", () => {
  expect(transferPort).toBe(wrapperPort + 1);
  expect(dockerfile.match(/^EXPOSE (.+)$/m)?.[1]).toBe(`${wrapperPort}-${seatPorts(seatCount).transfer}`);
});

it("the directory of members' workspaces lets each to its own, and shows none the others", () => {
  expect(dockerfile).toContain(`install -d -m 0711 ${imagePaths.workspaces}`);
});

it("a shared container has more seats than it may have members at once", () => {
  expect(seatCount).toBeGreaterThanOrEqual(2 * countVars.SHARED_MAX_MEMBERS.default);
});

it("the disk that a fresh container is said to have is that of the configured instance type", () => {
  expect(/^instance_type = "(.+)"$/m.exec(config)?.[1]).toBe(instanceType);
  expect(freshDisk.freeBytes).toBeGreaterThan(2 * countVars.WORKSPACE_MIN_FREE_MIB.default * 1_024 * 1_024);
  expect(freshDisk.totalBytes).toBeGreaterThan(freshDisk.freeBytes);
});

it("the platform's cap leaves room for what Mooring may have and what is being ended", () => {
  const max = Number(/^max_instances = (\d+)$/m.exec(config)?.[1]);
  expect(max).toBeGreaterThanOrEqual(2 * countVars.GLOBAL_MAX_SANDBOXES.default);
});

it("locally nothing needs Docker", () => {
  expect(config).toMatch(/^\[dev\]\nenable_containers = false$/m);
});

it("the SDK finds what it looks for in the Worker's exports when an object wakes beside a running container", () => {
  expect(read("src/index.ts")).toContain('export { ContainerProxy } from "@cloudflare/sandbox";');
});

it("[BUG-25] the SDK's server starts no interpreter ahead of use", () => {
  const kinds = ["PYTHON", "JAVASCRIPT", "TYPESCRIPT"];
  for (const kind of kinds) expect(dockerfile).toMatch(new RegExp(`^ENV .*\\b${kind}_POOL_MIN_SIZE=0\\b`, "m"));
});
