/** Unpacks Debian packages, with all that they depend on, into a folder. Nothing is installed on this machine and no script of a package runs. */
import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { enginePaths } from "./paths.ts";
import { must, run } from "./run-command.ts";

/** `recorded`: in the folder's own list of installed packages too. */
export function unpackPackages(
  names: readonly string[],
  root: string,
  record: "recorded" | "not recorded" = "not recorded",
): void {
  const archives = join(enginePaths.packages, "archives");
  rmSync(archives, { recursive: true, force: true });
  mkdirSync(join(archives, "partial"), { recursive: true });
  // Against an empty list of installed packages apt resolves the whole closure.
  const nothingInstalled = join(enginePaths.packages, "status");
  writeFileSync(nothingInstalled, "");
  const download = ["install", "-y", "-q", "--no-install-recommends", "--download-only", ...names].concat(
    ["Dir::State::status=" + nothingInstalled, "Dir::Cache::archives=" + archives, "APT::Sandbox::User=root"].flatMap(
      (option) => ["-o", option],
    ),
  );
  if (!run("apt-get", download, { timeoutMs: 180_000 }).ok) {
    // The lists of packages may be missing, or older than what the mirror still has.
    must("apt-get", ["update", "-q"], { timeoutMs: 120_000 });
    must("apt-get", download, { timeoutMs: 180_000 });
  }
  mkdirSync(root, { recursive: true });
  const files = readdirSync(archives).filter((name) => name.endsWith(".deb"));
  for (const file of files) must("dpkg", ["-x", join(archives, file), root]);
  if (record === "recorded") {
    // So that apt in there takes them for installed, and adds to them.
    const database = join(root, "var/lib/dpkg");
    mkdirSync(join(database, "info"), { recursive: true });
    for (const file of files) {
      const about = must("dpkg-deb", ["--field", join(archives, file)]);
      appendFileSync(join(database, "status"), `${about.trimEnd()}\nStatus: install ok installed\n\n`);
    }
  }
  rmSync(archives, { recursive: true, force: true });
}
