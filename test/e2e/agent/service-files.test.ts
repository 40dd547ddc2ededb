/** Files in a sandbox, through a real wrapper and its service process. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, json, open, rawPath } from "../../support/service-calls.ts";
import { until } from "../../support/until.ts";
import { disposeInstances, removeDirectories, startInstance, type Instance } from "../../support/wrapper-instance.ts";

let instance: Instance;
let workspace: string;

beforeAll(async () => {
  instance = await startInstance();
  await instance.renew();
  workspace = instance.boot.workspace_dir;
});
afterAll(async () => {
  await disposeInstances();
  removeDirectories();
});

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const put = (path: string, body: string | Uint8Array | Readable, headers = {}, query = "") =>
  call(instance, "PUT", `/files?path=${encodeURIComponent(path)}${query}`, { body, headers });
const get = (path: string, headers = {}) =>
  call(instance, "GET", `/files?path=${encodeURIComponent(path)}`, { headers });

describe("bytes go in and come out exactly", () => {
  it.each([
    ["empty", 0],
    ["one byte", 1],
    ["some megabytes", 9_000_001],
  ])("[TRA-1] a file of %s", async (name, size) => {
    const bytes = randomBytes(size);
    const stored = await put(`sizes/${name}`, bytes);
    expect([stored.status, json(stored)]).toEqual([201, expect.objectContaining({ type: "file", size, mode: 0o644 })]);
    const read = await get(`sizes/${name}`);
    expect([read.status, read.headers["content-length"], digest(read.body)]).toEqual([
      200,
      String(size),
      digest(bytes),
    ]);
    expect(read.headers.etag).toBe(stored.headers.etag);
  });

  it("[TRA-1] a stream without a length", async () => {
    const chunks = Array.from({ length: 50 }, () => randomBytes(40_000));
    await put("stream", Readable.from(chunks));
    expect(digest(readFileSync(join(workspace, "stream")))).toBe(digest(Buffer.concat(chunks)));
  });

  it.each([
    ["spaces and signs", Buffer.from(" a b+c&d=e?f#g%h ")],
    ["unicode", Buffer.from("größe ☃ 𝕏")],
    ["line breaks", Buffer.from("one\ntwo\r\t")],
    ["bytes that are no UTF-8", Buffer.from([0x66, 0xff, 0xfe, 0x80])],
    ["255 bytes", Buffer.from("n".repeat(255))],
  ])("[TRA-1] a name of %s", async (_what, name) => {
    const path = rawPath(name);
    const stored = await call(instance, "PUT", `/files?path=names/${path}`, { body: "content" });
    expect(stored.status).toBe(201);
    expect(
      readdirSync(Buffer.from(join(workspace, "names")), { encoding: "buffer" }).some((each) => each.equals(name)),
    ).toBe(true);
    expect((await call(instance, "GET", `/files?path=names/${path}`)).body.toString()).toBe("content");
    const { raw_path: raw, path: text } = json(stored) as { raw_path?: string; path: string };
    const again = raw ?? encodeURIComponent(text);
    expect((await call(instance, "GET", `/files?path=${again}`)).body.toString()).toBe("content");
  });

  it("a relative path begins at the workspace, an absolute one at the root", async () => {
    await put("here/./a.txt", "a");
    expect((await get(join(workspace, "here/a.txt"))).body.toString()).toBe("a");
    expect((await get("/proc/self/status")).body.toString()).toMatch(/^Name:/);
  });
});

describe("an upload", () => {
  it("[TRA-1] that breaks off leaves the old file, and nothing beside it", async () => {
    await put("broken/file", "old");
    const cut = new Readable({ read() {} });
    const sent = open(instance, "PUT", "/files?path=broken/file", { body: cut }).catch(() => null);
    cut.push(randomBytes(300_000));
    await until("the upload is under way", () => readdirSync(join(workspace, "broken")).length === 2);
    cut.destroy(new Error("gone"));
    await sent;
    await until("the draft is gone", () => readdirSync(join(workspace, "broken")).length === 1);
    expect(readFileSync(join(workspace, "broken/file"), "utf8")).toBe("old");
  });

  it("keeps the mode of the file that it replaces, and takes another where one is given", async () => {
    await put("modes/run.sh", "#!/bin/sh\n", {}, "&mode=755");
    await put("modes/run.sh", "#!/bin/sh\nexit\n");
    expect(statSync(join(workspace, "modes/run.sh")).mode & 0o777).toBe(0o755);
  });

  it("goes through a link, also one that leads nowhere yet", async () => {
    await put("links/target", "old");
    symlinkSync("target", join(workspace, "links/link"));
    symlinkSync("../links/new", join(workspace, "links/dangling"));
    await put("links/link", "new");
    await put("links/dangling", "made");
    expect(readFileSync(join(workspace, "links/target"), "utf8")).toBe("new");
    expect(readFileSync(join(workspace, "links/new"), "utf8")).toBe("made");
  });

  it("makes no parents when told not to", async () => {
    expect(json(await put("no/parents/here", "x", {}, "&parents=false"))).toMatchObject({ code: "not_found" });
    expect(existsSync(join(workspace, "no"))).toBe(false);
  });
});

describe("conditions and ranges", () => {
  it("[TRA-1] a range is a part, and one past the end names the size", async () => {
    writeFileSync(join(workspace, "alphabet"), "abcdefghij");
    const part = async (range: string) => {
      const reply = await get("alphabet", { range });
      return [reply.status, reply.body.toString(), reply.headers["content-range"]];
    };
    expect(await part("bytes=2-4")).toEqual([206, "cde", "bytes 2-4/10"]);
    expect(await part("bytes=7-")).toEqual([206, "hij", "bytes 7-9/10"]);
    expect(await part("bytes=-3")).toEqual([206, "hij", "bytes 7-9/10"]);
    expect(await part("bytes=2-900")).toEqual([206, "cdefghij", "bytes 2-9/10"]);
    expect(await part("lines=1-2")).toEqual([200, "abcdefghij", undefined]);
    expect((await part("bytes=10-"))[2]).toBe("bytes */10");
    expect((await part("bytes=10-"))[0]).toBe(416);
  });

  it("[TRA-1] a file that was not changed is not sent again, and a changed one is not written over", async () => {
    const first = await put("etag", "one");
    const etag = String(first.headers.etag);
    expect((await get("etag", { "if-none-match": etag })).status).toBe(304);
    expect((await put("etag", "two", { "if-match": etag })).status).toBe(200);
    const late = await put("etag", "three", { "if-match": etag });
    expect([late.status, json(late)]).toEqual([412, expect.objectContaining({ code: "precondition_failed" })]);
    expect((await get("etag", { "if-none-match": etag })).body.toString()).toBe("two");
    expect((await put("etag", "four", { "if-none-match": "*" })).status).toBe(412);
    expect((await put("etag-new", "five", { "if-none-match": "*" })).status).toBe(201);
    const head = await call(instance, "HEAD", "/files?path=etag");
    expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "3", 0]);
  });
});

describe("a refusal says why", () => {
  it.each([
    ["not_found", "nothing/here", 404],
    ["is_a_directory", ".", 409],
    ["not_a_directory", "alphabet/below", 409],
    ["name_too_long", "n".repeat(256), 422],
    ["link_loop", "loop", 409],
  ])("[TRA-3] %s", async (code, path, status) => {
    if (!existsSync(join(workspace, "alphabet"))) writeFileSync(join(workspace, "alphabet"), "abcdefghij");
    try {
      symlinkSync("loop", join(workspace, "loop"));
    } catch {
      // Of the case before.
    }
    const read = await get(path);
    expect([read.status, json(read)]).toEqual([status, expect.objectContaining({ code })]);
    expect(String((json(read) as { message: string }).message)).toMatch(/\.$/);
    if (code === "not_found") return;
    const written = await put(path, "x");
    expect([written.status, json(written)]).toEqual([status, expect.objectContaining({ code })]);
  });
});
