/** Snapshots of the local host on a real disk, with the system's tar: what is kept, and what never is. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { type RestoreOrder, Snapshots } from "../../../wrapper/host/disk/snapshots.ts";
import { type SandboxPaths, StateDirectory } from "../../../wrapper/host/records/state-directory.ts";
import { describeTree, makeTree } from "../../support/file-tree.ts";
import { SeededRandom } from "../../support/seeded-random.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).toReversed()) close();
});

interface Disk {
  readonly state: StateDirectory;
  readonly snapshots: Snapshots;
  /** Whatever lies there under the session, sorted. */
  readonly files: () => readonly string[];
}

function disk(options: { quotaBytes?: number; root?: string } = {}): Disk {
  const root = options.root ?? mkdtempSync(join(tmpdir(), "mooring-snapshots-"));
  if (options.root === undefined) closing.push(() => rmSync(root, { recursive: true, force: true }));
  const state = new StateDirectory(join(root, "state"));
  closing.push(() => state.unlock());
  const snapshots = new Snapshots(state, options.quotaBytes ?? null);
  const folder = join(state.snapshots, "session");
  return { state, snapshots, files: () => (existsSync(folder) ? readdirSync(folder).sort() : []) };
}

function workspaceOf({ state }: Disk, sandbox = "one"): string {
  const { workspace } = state.sandbox(sandbox);
  mkdirSync(workspace, { recursive: true, mode: 0o700 });
  return workspace;
}

let instances = 0;
/** For an instance of its own, so that nothing was restored for it before. */
function restoreOrder(session: string, name: string, sandbox: SandboxPaths): RestoreOrder {
  const instance = `instance-${(instances += 1)}`;
  return { session, name, sandbox, owner: null, instance, signal: new AbortController().signal, passed: () => {} };
}

const refusedWith = (code: string) => expect.objectContaining({ code });

it("a tree of odd names, links, modes, times and holes comes back as it was, ten times over [DEL-11]", async () => {
  const here = disk();
  let workspace = workspaceOf(here);
  makeTree(workspace, new SeededRandom(11), 300);
  const before = describeTree(workspace);
  expect(before.length).toBeGreaterThan(330);
  for (let round = 1; round <= 10; round += 1) {
    await here.snapshots.save("session", `s${round}`, workspace);
    const next = here.state.sandbox(`next-${round}`);
    await here.snapshots.restore(restoreOrder("session", `s${round}`, next));
    expect(describeTree(next.workspace)).toEqual(before);
    await here.snapshots.remove("session", `s${round}`);
    workspace = next.workspace;
  }
  // No name was taken for an option or a command.
  expect(existsSync("pwned")).toBe(false);
});

it("a hole takes no room in the archive", async () => {
  const here = disk();
  const workspace = workspaceOf(here);
  const file = openSync(join(workspace, "sparse"), "w");
  writeSync(file, "end", 2_000_000_000);
  expect(await here.snapshots.save("session", "s1", workspace)).toBeLessThan(1_000_000);
});

it("a full disk is insufficient_space, with nothing half-saved left", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "mooring-small-disk-"));
  closing.push(() => rmSync(root, { recursive: true, force: true }));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", root]).status !== 0) {
    context.skip("no small disk can be mounted here");
  }
  closing.push(() => spawnSync("umount", [root]));
  const here = disk({ root });
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "small"), "x".repeat(1_000_000));
  // What it is told of before: 40 MB less the 16 MB that are never touched do not hold 15 MB twice.
  writeFileSync(join(workspace, "large"), Buffer.alloc(15_000_000, "y"));
  await expect(here.snapshots.save("session", "s1", workspace)).rejects.toEqual(refusedWith("insufficient_space"));
  expect(here.files().filter((file) => !file.endsWith(".removed"))).toEqual([]);
  rmSync(join(workspace, "large"));
  await here.snapshots.save("session", "s2", workspace);
  expect(here.files()).toEqual(["s2.json", "s2.tar"]);
});

it("a disk that fills up in the middle of a save is insufficient_space as well, with nothing left", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "mooring-small-disk-"));
  closing.push(() => rmSync(root, { recursive: true, force: true }));
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=60m", "tmpfs", root]).status !== 0) {
    context.skip("no small disk can be mounted here");
  }
  closing.push(() => spawnSync("umount", [root]));
  const here = disk({ root });
  // Elsewhere, so that only the archive is on the small disk.
  const elsewhere = mkdtempSync(join(tmpdir(), "mooring-workspace-"));
  closing.push(() => rmSync(elsewhere, { recursive: true, force: true }));
  writeFileSync(join(elsewhere, "data"), Buffer.alloc(30_000_000, "y"));
  const saving = here.snapshots.save("session", "s1", elsewhere);
  saving.catch(() => {});
  const unfinished = join(here.state.snapshots, "session", "s1.saving");
  while (!existsSync(unfinished)) await new Promise((resolve) => setImmediate(resolve));
  const filler = openSync(join(root, "filler"), "w");
  for (let full = false; !full;) {
    try {
      writeSync(filler, Buffer.alloc(1_000_000, "z"));
    } catch {
      full = true;
    }
  }
  closeSync(filler);
  await expect(saving).rejects.toEqual(refusedWith("insufficient_space"));
  expect(here.files()).toEqual([]);
});

it("sandboxes and snapshots share the quota, and the refusal has the numbers", async () => {
  const here = disk({ quotaBytes: 3_000_000 });
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "data"), Buffer.alloc(2_000_000, "y"));
  await expect(here.snapshots.save("session", "s1", workspace)).rejects.toThrow(/quota of 3000000.*more are needed/);
  expect(here.files()).toEqual([]);
});

it("a snapshot that was damaged on disk is not restored, and no workspace appears", async () => {
  const here = disk();
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "data"), "a".repeat(100_000));
  await here.snapshots.save("session", "s1", workspace);
  const archive = join(here.state.snapshots, "session", "s1.tar");
  const bytes = readFileSync(archive);
  bytes[50_000] = 0x62;
  chmodSync(archive, 0o600);
  writeFileSync(archive, bytes);
  const next = here.state.sandbox("next");
  await expect(here.snapshots.restore(restoreOrder("session", "s1", next))).rejects.toEqual(refusedWith("damaged"));
  // Too short for `tar`, which complains before anybody has compared a checksum.
  writeFileSync(archive, bytes.subarray(0, 60_000));
  await expect(here.snapshots.restore(restoreOrder("session", "s1", next))).rejects.toEqual(refusedWith("damaged"));
  expect(readdirSync(next.root)).toEqual([]);
});

it("a restore replaces what an earlier try left, whole", async () => {
  const here = disk();
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "data"), "kept");
  await here.snapshots.save("session", "s1", workspace);
  const next = here.state.sandbox("next");
  mkdirSync(next.workspace, { recursive: true });
  writeFileSync(join(next.workspace, "half"), "restored");
  await here.snapshots.restore(restoreOrder("session", "s1", next));
  expect(readdirSync(next.workspace)).toEqual(["data"]);
});

it("what a crash left unacknowledged or removed is gone after the next start; what was acknowledged stays", async () => {
  const here = disk();
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "data"), "kept");
  await here.snapshots.save("session", "whole", workspace);
  await here.snapshots.save("session", "removed", workspace);
  const folder = join(here.state.snapshots, "session");
  writeFileSync(join(folder, "torn.saving"), "half an archive");
  writeFileSync(join(folder, "unsaid.tar"), "an archive that nobody was told of");
  writeFileSync(join(folder, ".new.json.new"), "half a record");
  // The tombstone was written, then the host was killed.
  writeFileSync(join(folder, "removed.removed"), "");
  const again = new Snapshots(here.state, null);
  again.start(Date.now());
  expect(here.files()).toEqual(["removed.removed", "whole.json", "whole.tar"]);
  const next = here.state.sandbox("next");
  await expect(again.restore(restoreOrder("session", "removed", next))).rejects.toEqual(refusedWith("not_found"));
  again.start(Date.now() + 8 * 24 * 3_600_000);
  expect(here.files()).toEqual(["whole.json", "whole.tar"]);
});

it("a removal ends a save that is under way: it is refused, and nothing of it is left", async () => {
  const here = disk();
  const workspace = workspaceOf(here);
  writeFileSync(join(workspace, "data"), Buffer.alloc(150_000_000, "y"));
  const saving = here.snapshots.save("session", "s1", workspace);
  saving.catch(() => {});
  const folder = join(here.state.snapshots, "session");
  while (!existsSync(join(folder, "s1.saving"))) await new Promise((resolve) => setImmediate(resolve));
  await here.snapshots.remove("session", "s1");
  await expect(saving).rejects.toEqual(refusedWith("refused_retired"));
  expect(here.files()).toEqual(["s1.removed"]);
});

it("a large save holds up no other", async () => {
  const here = disk();
  const large = workspaceOf(here, "large");
  writeFileSync(join(large, "data"), Buffer.alloc(150_000_000, "y"));
  const small = workspaceOf(here, "small");
  writeFileSync(join(small, "data"), "small");
  const order: string[] = [];
  await Promise.all([
    here.snapshots.save("session", "large", large).then(() => order.push("large")),
    here.snapshots.save("session", "small", small).then(() => order.push("small")),
  ]);
  expect(order).toEqual(["small", "large"]);
});
