/** The user of agents' programs: the image's own, or one that is made. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ensureAgentUser } from "../../../wrapper/agent/user/agent-user.ts";

let etc: string;
beforeEach(() => {
  etc = mkdtempSync(join(tmpdir(), "mooring-etc-"));
});
afterEach(() => rmSync(etc, { recursive: true, force: true }));

function image(passwd: string, group = ""): void {
  writeFileSync(join(etc, "passwd"), passwd);
  writeFileSync(join(etc, "group"), group);
}

it("keeps the number and home of a user that the image has", () => {
  image("root:x:0:0::/root:/bin/sh\nuser:x:1234:1235::/srv/user:/bin/bash\n");
  expect(ensureAgentUser(etc)).toEqual({ uid: 1234, gid: 1235, home: "/srv/user" });
});

it("makes the user with the first free number, and finds it again", () => {
  image("root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n", "docker:x:1001:\n");
  const made = ensureAgentUser(etc);
  expect(made).toEqual({ uid: 1002, gid: 1002, home: "/home/user" });
  expect(readFileSync(join(etc, "group"), "utf8")).toContain("user:x:1002:");
  expect(ensureAgentUser(etc)).toEqual(made);
});

it("an image that calls root `user` does not make jobs root", () => {
  image("user:x:0:0::/root:/bin/sh\n");
  expect(ensureAgentUser(etc).uid).toBeGreaterThan(0);
});

it("works where there are no such files", () => {
  rmSync(etc, { recursive: true });
  expect(ensureAgentUser(etc)).toMatchObject({ uid: 1000, home: "/home/user" });
});
