/** The home of agents' programs and the workspace: one place where the image leaves it open, two where it does not. */
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { homeInWorkspace } from "../../../wrapper/agent/user/home-in-workspace.ts";

let root: string;
let home: string;
let workspace: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mooring-home-"));
  home = join(root, "user");
  workspace = join(root, "workspace");
  mkdirSync(workspace);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it("what is written to an empty home is in the workspace [TRA-13]", () => {
  mkdirSync(home);
  expect(homeInWorkspace(home, workspace)).toBe(true);
  writeFileSync(join(home, "file"), "kept");
  expect(readFileSync(join(workspace, "file"), "utf8")).toBe("kept");
});

it("a home with files of the image stays as it is, and nothing is left beside it", () => {
  mkdirSync(home);
  writeFileSync(join(home, ".tool"), "the image's");
  expect(homeInWorkspace(home, workspace)).toBe(false);
  expect(lstatSync(home).isDirectory()).toBe(true);
  expect(readFileSync(join(home, ".tool"), "utf8")).toBe("the image's");
  expect(readdirSync(root).sort()).toEqual(["user", "workspace"]);
});

it("where there is no home, none is made", () => {
  expect(homeInWorkspace(home, workspace)).toBe(false);
  expect(readdirSync(root)).toEqual(["workspace"]);
});
