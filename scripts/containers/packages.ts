/** Unpacks Debian packages, with all that they depend on, into a folder. Nothing is installed on this machine and no script of a package runs. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { enginePlaces } from "./places.ts";
import { must, run } from "./run-command.ts";

export function unpackPackages(names: readonly string[], root: string): void {
  const archives = join(enginePlaces.packages, "archives");
  rmSync(archives, { recursive: true, force: true });
  mkdirSync(join(archives, "partial"), { recursive: true });
  // Against an empty list of installed packages apt resolves the whole closure.
  const nothingInstalled = join(enginePlaces.packages, "status");
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
  rmSync(archives, { recursive: true, force: true });
}
