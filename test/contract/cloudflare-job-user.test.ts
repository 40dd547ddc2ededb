/** Whose jobs are in a container that one sandbox has for itself: the real adapter and fence over the stand-in. Only root can tell. */
import { execFileSync } from "node:child_process";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { ProviderResult } from "../../src/domain/state/failure.ts";
import { programs } from "../support/cloudflare/programs.ts";
import { isAlive } from "../support/processes.ts";
import { CloudflareWorld, wrapperOf } from "./cloudflare-harness.ts";
import { bound, ContractSession, valueOf } from "./contract-session.ts";

const isRoot = process.getuid?.() === 0;
const olderWrapper = new URL("../fixtures/wrapper-protocol-1.js", import.meta.url).pathname;
let world: CloudflareWorld | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

function open(options: ConstructorParameters<typeof CloudflareWorld>[0] = {}): CloudflareWorld {
  world = new CloudflareWorld(options);
  return world;
}

async function save(session: ContractSession): Promise<ProviderResult<{ readonly bytes: number }>> {
  const { snapshots } = session.world.provider;
  if (snapshots === undefined) throw new Error("It cannot save.");
  return snapshots.save(session.target(), "s1", bound());
}

let jobs = 0;
async function said(session: ContractSession, command: string): Promise<string> {
  jobs += 1;
  const id = await session.startJob(`job-${jobs}`, command);
  const ended = await session.becomes(
    `the end of ${command}`,
    async () => valueOf(await session.wrapper().job(id, 4_096, bound()), "job"),
    ({ state }) => state !== "running",
  );
  return Buffer.from(ended.tail_base64, "base64").toString();
}

describe.runIf(isRoot)("a sandbox that has its container for itself", () => {
  it("runs its jobs as the user of the image, and they reach neither wrapper nor state [SEC-2] [PHY-17]", async () => {
    const here = open();
    const session = new ContractSession(here);
    await session.held();
    const container = here.container(session.order.sandboxId);
    const { uid, home_dir: home } = container.loneUser;
    expect(await said(session, "id -u; id -G; echo $HOME")).toBe(`${uid}\n${uid}\n${home}\n`);
    const wrapper = wrapperOf(session.order);
    const attempts = [
      `kill -9 ${wrapper}`,
      `cat /proc/${wrapper}/environ`,
      `ls ${container.paths.state}`,
      `touch ${container.root}/planted`,
    ];
    const script = attempts.map((attempt, index) => `(${attempt}) > /dev/null 2>&1 && echo DID ${index}`);
    expect(await said(session, [...script, "true"].join("\n"))).toBe("");
    expect(isAlive(wrapper)).toBe(true);
  });

  it("gets its files back as that user's, also those that a release of before saved as root's [DEL-11]", async () => {
    // The same in every container, as in the image: then nothing but the unpacking makes root's files its own.
    const uid = 1_500_000_000 + Math.floor(Math.random() * 1_000_000);
    const here = open({ terms: { loneJobUser: { uid, gid: uid } } });
    const session = new ContractSession(here);
    await session.held();
    await said(session, "mkdir -p a && echo mine > a/file && ln a/file b && chmod 500 a");
    const workspace = here.container(session.order.sandboxId).paths.workspace;
    // As root's job would have left it.
    execFileSync("sh", ["-c", "mkdir old && echo old > old/file && chmod 600 old/file && chown -R 0:0 old"], {
      cwd: workspace,
    });
    valueOf(await save(session), "save");
    valueOf(await session.stop(), "stop");
    const next = session.successor();
    valueOf(await next.launch({ restore: "s1" }), "launch");
    valueOf(await next.renew(), "renewal");
    expect(
      await said(
        next,
        "id -u; cat a/file old/file && echo more >> b && echo more >> old/file && cat a/file && stat -c %a a",
      ),
    ).toBe(`${uid}\nmine\nold\nmine\nmore\n500\n`);
    expect(lstatSync(join(here.container(next.order.sandboxId).paths.workspace, "old/file")).uid).toBe(uid);
  });

  it("in a container of the image of before runs its jobs as it always did, and gets its files back [LEA-17]", async () => {
    const here = open({ programs: { ...programs(), wrapper: olderWrapper } });
    const session = new ContractSession(here);
    await session.held();
    expect(await said(session, "id -u; echo kept > kept; stat -c %u kept")).toBe("0\n0\n");
    valueOf(await save(session), "save");
    valueOf(await session.stop(), "stop");
    const next = session.successor();
    valueOf(await next.launch({ restore: "s1" }), "launch");
    valueOf(await next.renew(), "renewal");
    expect(await said(next, "cat kept; stat -c %u kept")).toBe("kept\n0\n");
  });
});
