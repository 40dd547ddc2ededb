/** `npm run dev:containers` itself, with stand-ins for docker and wrangler: everything before the first container needs no engine. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { repository } from "../../../scripts/repository.ts";
import { verifyApiKey } from "../../../src/protocol/api-keys.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mooring-dev-containers-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function program(name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

it("[BUG-20] dev:containers prints a key that the Worker accepts and starts wrangler with containers", async () => {
  program("docker", "exit 0");
  program("wrangler", `echo "$@" > "${directory}/wrangler.args"`);
  const secrets = join(directory, "secrets");
  const ran = spawnSync("node", [join(repository, "scripts/stack/dev-containers.ts"), "--port", "1"], {
    encoding: "utf8",
    env: {
      ...process.env,
      PATH: `${directory}${delimiter}${process.env["PATH"] ?? ""}`,
      DOCKER_HOST: "tcp://stand-in.invalid:1",
      MOORING_WRANGLER: join(directory, "wrangler"),
      MOORING_SECRETS_FILE: secrets,
    },
    timeout: 60_000,
  });
  expect(ran.stderr).toBe("");
  const key = /API key \(tenant dev\)\s+(\S+)/.exec(ran.stdout)?.[1] ?? "";
  const secret = /^KEY_SIGNING_SECRET=(.+)$/m.exec(readFileSync(secrets, "utf8"))?.[1] ?? "";
  expect(await verifyApiKey(key, [secret])).toMatchObject({ tenant: "dev" });
  const args = readFileSync(join(directory, "wrangler.args"), "utf8");
  expect(args).toContain("--enable-containers");
  expect(args).toMatch(/--var CONTAINER_IMAGE:\S+/);
  expect(ran.status).toBe(0);
});
