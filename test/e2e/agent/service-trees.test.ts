/** Directories of a sandbox: listed, changed, packed, watched; through a real wrapper and its service process. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FileEntry } from "../../../src/protocol/resources/sandbox/files.ts";
import { call, json, open, rawPath, type Reply } from "../../support/service-calls.ts";
import { eventsOf } from "../../support/service-events.ts";
import { until } from "../../support/until.ts";
import {
  disposeInstances,
  removeDirectories,
  startInstance,
  temporaryDirectory,
  type Instance,
} from "../../support/wrapper-instance.ts";

let instance: Instance;
let workspace: string;

beforeAll(async () => {
  instance = await startInstance({ lease_ttl_ms: 600_000 });
  await instance.renew();
  workspace = instance.boot.workspace_dir;
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

const at = (...names: string[]) => join(workspace, ...names);
const list = async (query: string) =>
  json(await call(instance, "GET", `/files/list?${query}`)) as { data: FileEntry[]; next_cursor: string | null };
const below = (entries: readonly FileEntry[], root: string) =>
  entries.map(({ path }) => path.slice(at(root).length + 1));
const code = (reply: Reply) => (json(reply) as { code?: string }).code;

function tree(name: string): void {
  for (const directory of ["a/b", "c"]) mkdirSync(at(name, directory), { recursive: true });
  for (const file of ["a/1", "a/b/2", "a/b/3", "b", "c/4", "z"]) writeFileSync(at(name, file), file);
}

describe("a list", () => {
  it("is sorted, with a directory before what is in it, down to the depth", async () => {
    tree("sorted");
    expect(below((await list("path=sorted")).data, "sorted")).toEqual(["a", "b", "c", "z"]);
    const deep = await list("path=sorted&depth=9");
    expect(below(deep.data, "sorted")).toEqual(["a", "a/1", "a/b", "a/b/2", "a/b/3", "b", "c", "c/4", "z"]);
  });

  it("comes in pages that neither repeat nor hide anything, whatever changes in between", async () => {
    tree("pages");
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await list(`path=pages&depth=9&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
      seen.push(...below(page.data, "pages"));
      if (cursor === "") rmSync(at("pages", "a/1"));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(["a", "a/1", "a/b", "a/b/2", "a/b/3", "b", "c", "c/4", "z"]);
  });

  it("shows links as links, and where they lead", async () => {
    mkdirSync(at("kinds"));
    writeFileSync(at("kinds/file"), "12345", { mode: 0o640 });
    symlinkSync("file", at("kinds/link"));
    symlinkSync("nowhere", at("kinds/dangling"));
    execFileSync("mkfifo", [at("kinds/pipe")]);
    const { data } = await list("path=kinds");
    const [dangling, file, link, pipe] = data;
    expect(dangling).toMatchObject({ type: "symlink", link: { target: "nowhere", path: null, type: null } });
    expect(file).toMatchObject({ type: "file", size: 5, mode: 0o640, name: "file" });
    expect(link).toMatchObject({
      type: "symlink",
      link: { target: "file", path: at("kinds/file"), type: "file", mode: 0o640 },
    });
    expect(pipe).toMatchObject({ type: "fifo" });
    expect(code(await call(instance, "GET", "/files?path=kinds/pipe"))).toBe("not_a_file");
  });

  it("[TRA-1] names that are no UTF-8 can be asked for again", async () => {
    mkdirSync(at("raw"));
    writeFileSync(Buffer.concat([Buffer.from(at("raw/")), Buffer.from([0xfe, 0x41])]), "raw");
    const [entry] = (await list("path=raw")).data;
    expect((await call(instance, "GET", `/files?path=${entry?.raw_path}`)).body.toString()).toBe("raw");
  });
});

describe("changes", () => {
  it("makes directories with their parents, and says when one was there", async () => {
    expect((await call(instance, "POST", "/files/mkdir?path=made/of/it&mode=750")).status).toBe(201);
    expect((await call(instance, "POST", "/files/mkdir?path=made/of/it")).status).toBe(200);
    expect(code(await call(instance, "POST", "/files/mkdir?path=made/of/it&parents=false"))).toBe("already_exists");
    expect(code(await call(instance, "POST", "/files/mkdir?path=no/parent&parents=false"))).toBe("not_found");
    expect(statSync(at("made/of/it")).isDirectory()).toBe(true);
  });

  it("moves, and replaces only when it may", async () => {
    writeFileSync(at("from"), "moved");
    writeFileSync(at("taken"), "kept");
    expect(code(await call(instance, "POST", "/files/move?from=from&to=taken&overwrite=false"))).toBe("already_exists");
    expect((await call(instance, "POST", "/files/move?from=from&to=new/place")).status).toBe(200);
    expect([existsSync(at("from")), readFileSync(at("new/place"), "utf8")]).toEqual([false, "moved"]);
    expect(code(await call(instance, "POST", "/files/move?from=from&to=x"))).toBe("not_found");
  });

  it("removes a tree only when asked to, and a link never with what it leads to", async () => {
    tree("goes");
    symlinkSync(at("goes/a"), at("goes/link"));
    expect(code(await call(instance, "DELETE", "/files?path=goes"))).toBe("directory_not_empty");
    expect((await call(instance, "DELETE", "/files?path=goes/link&recursive=true")).status).toBe(200);
    expect(existsSync(at("goes/a/1"))).toBe(true);
    expect((await call(instance, "DELETE", "/files?path=goes&recursive=true")).status).toBe(200);
    expect(existsSync(at("goes"))).toBe(false);
    expect(code(await call(instance, "DELETE", "/files?path=goes"))).toBe("not_found");
  });

  it("keeps metadata with a file, and replaces it with the next", async () => {
    const given = encodeURIComponent(JSON.stringify({ purpose: "test", empty: "" }));
    await call(instance, "PUT", `/files?path=tagged&metadata=${given}`, { body: "x" });
    const stat = async () =>
      (json(await call(instance, "GET", "/files/stat?path=tagged&metadata=true")) as FileEntry).metadata;
    expect(await stat()).toEqual({ purpose: "test", empty: "" });
    await call(instance, "PUT", `/files?path=tagged&metadata=${encodeURIComponent("{}")}`, { body: "y" });
    expect(await stat()).toBeUndefined();
    expect(code(await call(instance, "PUT", "/files?path=tagged&metadata=[]", { body: "y" }))).toBe("invalid");
  });
});

describe("archives", () => {
  it("[TRA-1] a tree goes out and in again as it was", async () => {
    tree("packed");
    chmodSync(at("packed/z"), 0o755);
    symlinkSync("a/1", at("packed/link"));
    truncateSync(at("packed/c/4"), 30_000_000);
    writeFileSync(Buffer.concat([Buffer.from(at("packed/")), Buffer.from([0xff])]), "raw");
    const packed = await call(instance, "GET", "/files/archive?path=packed");
    expect([packed.status, packed.headers["content-type"]]).toEqual([200, "application/x-tar"]);
    expect((await call(instance, "PUT", "/files/archive?path=again", { body: packed.body })).status).toBe(200);
    execFileSync("diff", ["-r", "--no-dereference", at("packed"), at("again")]);
    expect([lstatSync(at("again/link")).isSymbolicLink(), statSync(at("again/z")).mode & 0o777]).toEqual([true, 0o755]);
    const small = await call(instance, "GET", "/files/archive?path=packed&compress=gzip");
    expect(small.body.length).toBeLessThan(packed.body.length / 100);
  });

  it("one whose padding comes late is unpacked all the same: tar is gone by then [TRA-1]", async () => {
    tree("padded");
    const { body: packed } = await call(instance, "GET", "/files/archive?path=padded");
    const late = async function* () {
      yield packed;
      for (let piece = 0; piece < 4; piece += 1) {
        await pause(100);
        yield Buffer.alloc(500_000);
      }
    };
    const reply = await call(instance, "PUT", "/files/archive?path=late", { body: Readable.from(late()) });
    expect(reply.status).toBe(200);
    execFileSync("diff", ["-r", at("padded"), at("late")]);
  });

  it("one that leads out of its directory does not", async () => {
    const outside = temporaryDirectory();
    writeFileSync(join(outside, "evil"), "evil");
    const evil = execFileSync("tar", ["-P", "-cf", "-", "--transform", `s#.*#../escaped#`, join(outside, "evil")]);
    await call(instance, "PUT", "/files/archive?path=trap/inner", { body: evil });
    expect(existsSync(at("trap/escaped"))).toBe(false);
  });

  it("what is no archive is refused, and so is a file", async () => {
    expect(code(await call(instance, "PUT", "/files/archive?path=bad", { body: "no archive at all" }))).toBe("invalid");
    writeFileSync(at("plain"), "x");
    expect(code(await call(instance, "GET", "/files/archive?path=plain"))).toBe("not_a_directory");
    expect(code(await call(instance, "GET", "/files/archive?path=missing"))).toBe("not_found");
  });
});

async function watching(query: string): Promise<{ readonly seen: string[]; readonly close: () => void }> {
  const answer = await open(instance, "GET", `/files/watch?${query}`);
  const seen: string[] = [];
  void (async () => {
    for await (const { name, data } of eventsOf(answer))
      seen.push(name === "ready" ? name : `${name} ${String(data["name"])}`);
  })().catch(() => {});
  await until("the watch is armed", () => seen.includes("ready"));
  return { seen, close: () => answer.destroy() };
}

describe("a watch", () => {
  it("tells what was made, written, changed, renamed and removed", async () => {
    mkdirSync(at("watched"));
    const { seen, close } = await watching("path=watched");
    const told = (what: string) => until(`${what} in ${seen.join(", ")}`, () => seen.includes(what));
    writeFileSync(at("watched/one"), "1");
    await told("created one");
    await told("modified one");
    chmodSync(at("watched/one"), 0o600);
    await told("attributes one");
    renameSync(at("watched/one"), at("watched/two"));
    await told("renamed one");
    await told("created two");
    rmSync(at("watched/two"));
    await told("removed two");
    close();
  });

  it("follows directories that are made later, with what is put into them at once", async () => {
    mkdirSync(at("deep"));
    const { seen, close } = await watching("path=deep&recursive=true");
    mkdirSync(at("deep/x/y"), { recursive: true });
    writeFileSync(at("deep/x/y/file"), "1");
    await until("the file is told", () => seen.includes("created x/y/file"));
    appendFileSync(at("deep/x/y/file"), "2");
    await until("the write is told", () => seen.includes("modified x/y/file"));
    close();
  });

  it("tells all that a directory holds already when it is found: it was put there before anybody watched it", async () => {
    mkdirSync(at("found"));
    tree("elsewhere");
    const { seen, close } = await watching("path=found&recursive=true");
    // One event of the kernel, for the directory alone.
    renameSync(at("elsewhere"), at("found/here"));
    for (const path of ["", "/a", "/a/1", "/a/b", "/a/b/2", "/a/b/3", "/b", "/c", "/c/4", "/z"])
      await until(`here${path} is told`, () => seen.includes(`created here${path}`));
    // As of every file that appears with content: a client that waits for a write hears of it whichever came first, the file or the watch.
    for (const path of ["/a/1", "/a/b/2", "/z"])
      await until(`the content of here${path} is told`, () => seen.includes(`modified here${path}`));
    appendFileSync(at("found/here/a/b/3"), "more");
    await until("a write below it is told", () => seen.includes("modified here/a/b/3"));
    close();
  });

  it("[TRA-8] is no work for the idle clock, and leaves nothing when its client goes", async () => {
    const { close } = await watching("path=.");
    expect((await instance.renew()).active_jobs).toBe(0);
    close();
  });

  it("is refused where there is nothing to watch", async () => {
    writeFileSync(at("no-directory"), "");
    expect(code(await call(instance, "GET", "/files/watch?path=no-directory"))).toBe("not_a_directory");
    expect(code(await call(instance, "GET", "/files/watch?path=missing"))).toBe("not_found");
  });
});

it("a path may be given as bytes", async () => {
  expect((await call(instance, "GET", `/files/stat?path=${rawPath(Buffer.from("/etc/passwd"))}`)).status).toBe(200);
  expect(readdirSync(workspace).some((name) => name.includes(".part"))).toBe(false);
});
