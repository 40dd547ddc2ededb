/** Trees as a hostile job leaves them: counted and removed by descriptor. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { measure } from "../../../wrapper/host/disk/archive.ts";
import { allocatedBytes, newestChange } from "../../../wrapper/host/disk/file-tree.ts";
import { removeTree } from "../../../wrapper/host/disk/remove-tree.ts";

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) execFileSync("rm", ["-rf", root]);
});

function place(): string {
  const root = mkdtempSync(join(tmpdir(), "mooring-tree-"));
  roots.push(root);
  return root;
}

/** Levels of directories with names of 100 bytes, and a file of 8 kB in the last. */
function deepTree(root: string, levels: number): void {
  const name = "d".repeat(100);
  const script = `cd "$1"; i=0; while [ $i -lt ${levels} ]; do mkdir ${name}; cd -P ${name}; i=$((i+1)); done; head -c 8192 /dev/urandom > leaf`;
  execFileSync("bash", ["-c", script, "deep", root]);
}

it("[BUG-50] a tree deeper than PATH_MAX is counted and removed", async () => {
  const root = join(place(), "tree");
  mkdirSync(root);
  deepTree(root, 150);
  expect(await allocatedBytes(root)).toBeGreaterThanOrEqual(8_192);
  expect(await newestChange(root)).toBeGreaterThan(0);
  expect(await measure(root)).toMatchObject({ entries: 152, longestPath: 150 * 101 + 5 });
  await removeTree(root);
  expect(existsSync(root)).toBe(false);
});

it("[BUG-50] what is not there, or whose place is not there, is removed already", async () => {
  const home = place();
  await removeTree(join(home, "nothing"));
  await removeTree(join(home, "no-container", "member"));
  expect(readdirSync(home)).toEqual([]);
});

it("[BUG-51] names that are not UTF-8 are counted and removed", async () => {
  const root = join(place(), "tree");
  mkdirSync(root);
  const odd = Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe])]);
  mkdirSync(odd);
  writeFileSync(Buffer.concat([odd, Buffer.from("/"), Buffer.from([0xc3])]), Buffer.alloc(65_536, 1));
  expect(await allocatedBytes(root)).toBeGreaterThanOrEqual(65_536);
  expect(await newestChange(root)).toBeGreaterThan(0);
  await removeTree(root);
  expect(existsSync(root)).toBe(false);
});

it("[BUG-50] directories without any permission are removed by a user who is not root", async (context) => {
  if (process.getuid?.() !== 0) context.skip("only root can become another user");
  const home = place();
  chmodSync(home, 0o777);
  const root = join(home, "tree");
  const script = 'mkdir -p "$1/a/b"; echo kept > "$1/a/b/c"; chmod 0 "$1/a/b"; chmod 0555 "$1/a" "$1"';
  execFileSync("sh", ["-c", script, "sh", root], { uid: 65_534, gid: 65_534 });
  const remove = new URL("../../../wrapper/host/disk/remove-tree.ts", import.meta.url).pathname;
  const program = `const { removeTree } = await import(${JSON.stringify(remove)}); await removeTree(${JSON.stringify(root)});`;
  const ran = spawnSync(process.execPath, ["--input-type=module", "-e", program], { uid: 65_534, gid: 65_534 });
  expect(ran.stderr.toString()).toBe("");
  expect(readdirSync(home)).toEqual([]);
});

it("[BUG-50] what jobs mounted is detached, not entered: a bind mount's own files stay", async (context) => {
  const home = place();
  const precious = join(home, "precious");
  mkdirSync(precious);
  writeFileSync(join(precious, "file"), "kept");
  const root = join(home, "tree");
  for (const name of ["bound", "memory"]) mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, "covered"), "");
  const mount = (...args: string[]) => spawnSync("mount", args).status === 0;
  if (!mount("--bind", precious, join(root, "bound"))) context.skip("nothing may be mounted here");
  mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", join(root, "memory"));
  mount("--bind", join(precious, "file"), join(root, "covered"));
  writeFileSync(join(root, "memory", "big"), Buffer.alloc(500_000, 1));
  await removeTree(root);
  expect(readdirSync(home)).toEqual(["precious"]);
  expect(readdirSync(precious)).toEqual(["file"]);
});

it("[BUG-50] what cannot be removed is told without a path, and the rest is gone", async (context) => {
  const home = place();
  const root = join(home, "tree");
  mkdirSync(join(root, "stuck"), { recursive: true });
  writeFileSync(join(root, "stuck", "file"), "");
  writeFileSync(join(root, "free"), "");
  if (spawnSync("chattr", ["+i", join(root, "stuck", "file")]).status !== 0) context.skip("no immutable files here");
  try {
    await expect(removeTree(root)).rejects.toThrow(/^EPERM in unlink/);
    expect(existsSync(join(root, "free"))).toBe(false);
  } finally {
    spawnSync("chattr", ["-i", join(root, "stuck", "file")]);
  }
  await removeTree(root);
  rmSync(root, { recursive: true, force: true });
  expect(readdirSync(home)).toEqual([]);
});
