/**
 * Whose rights a client's file calls have: those of the jobs' user, by the kernel. A link that a job laid, to where that user may not go,
 * opens nothing. Only root can start a service process as another user: elsewhere everything is skipped, by name.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, json } from "../../support/service-calls.ts";
import {
  disposeInstances,
  removeDirectories,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

const isRoot = process.getuid?.() === 0;
const uid = 70_000 + (process.pid % 20_000);
const code = (answer: Awaited<ReturnType<typeof call>>): string =>
  `${answer.status} ${(json(answer) as { code: string }).code}`;

describe.runIf(isRoot)("file calls have the rights of the jobs' user and no other", () => {
  let instance: Instance;
  let workspace: string;
  let outside: string;

  beforeAll(async () => {
    instance = await startInstance({ job_user: { uid, gid: uid } });
    await instance.renew();
    workspace = instance.boot.workspace_dir;
    outside = temporaryDirectory();
    chmodSync(outside, 0o755);
    writeFileSync(join(outside, "secret"), "root's own", { mode: 0o600 });
    mkdirSync(join(outside, "closed"), { mode: 0o700 });
    writeFileSync(join(outside, "closed", "inside"), "root's own");
    writeFileSync(join(outside, "shown"), "for everybody", { mode: 0o644 });
    // As a job would lay them.
    symlinkSync(join(outside, "secret"), join(workspace, "to-secret"));
    symlinkSync(join(outside, "closed"), join(workspace, "to-closed"));
    symlinkSync(outside, join(workspace, "to-outside"));
    symlinkSync(instance.boot.state_dir, join(workspace, "to-state"));
  });
  afterAll(async () => {
    await disposeInstances();
    removeDirectories();
  });

  const at = (path: string): string => `path=${encodeURIComponent(path)}`;
  const read = (path: string) => call(instance, "GET", `/files?${at(path)}`);

  it("[TRA-2] a link to what that user may not read, write or enter is refused, whichever way it is named", async () => {
    for (const path of [
      "to-secret",
      "to-outside/secret",
      "to-closed/inside",
      `${outside}/secret`,
      `../${"../".repeat(20)}${outside}/secret`,
    ])
      expect(code(await read(path)), path).toBe("403 permission_denied");
    expect(code(await call(instance, "PUT", `/files?${at("to-closed/new")}`, { body: "x" }))).toBe(
      "403 permission_denied",
    );
    expect(code(await call(instance, "PUT", `/files?${at("to-outside/new")}`, { body: "x" }))).toBe(
      "403 permission_denied",
    );
    expect(code(await call(instance, "GET", `/files/list?${at("to-closed")}`))).toBe("403 permission_denied");
    expect(code(await call(instance, "DELETE", `/files?${at("to-outside/secret")}`))).toBe("403 permission_denied");
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("root's own");
    expect(existsSync(join(outside, "new"))).toBe(false);
  });

  it("[TRA-2] a link to what that user may read is followed, and removing the link leaves its target", async () => {
    symlinkSync(join(outside, "shown"), join(workspace, "to-shown"));
    const shown = await read("to-shown");
    expect([shown.status, shown.body.toString()]).toEqual([200, "for everybody"]);
    expect((await call(instance, "DELETE", `/files?${at("to-secret")}`)).status).toBe(200);
    expect(existsSync(join(workspace, "to-secret"))).toBe(false);
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("root's own");
  });

  it("[TRA-2] the agent's own directory, with the secret of the instance, is not reached", async () => {
    for (const path of ["to-state", instance.boot.state_dir])
      expect(code(await call(instance, "GET", `/files/list?${at(path)}`)), path).toBe("403 permission_denied");
  });

  it("[TRA-2] what a client makes is that user's, and so is what it starts", async () => {
    const made = await call(instance, "PUT", `/files?${at("made/here")}`, { body: "x" });
    expect(json(made)).toMatchObject({ owner: String(uid) });
  });
});
