/**
 * The image that local containers start from: Debian packages, unpacked, and the Node of this checkout. It stands in for the
 * platform's managed image, with the tools beside it that agents need (git, python3, curl, ripgrep). No ENTRYPOINT: the platform passes ours.
 *
 * Made once for one content: the tag is a hash of what goes into it.
 */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { repository } from "../repository.ts";
import { unpackPackages } from "./packages.ts";
import { enginePaths, imageNames } from "./paths.ts";
import { must, run } from "./run-command.ts";

const packages = [
  ..."base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname sed tar util-linux".split(
    " ",
  ),
  ..."libc-bin login passwd procps libstdc++6 ca-certificates git python3 python-is-python3 ncurses-base ncurses-bin curl ripgrep mawk patch less".split(
    " ",
  ),
];

/**
 * What a template is prepared from on this machine: a small Debian with apt and none of the tools of agents, like the platform's managed image. Its
 * apt reads from where this machine's does.
 */
const packagesWithApt = [
  ..."base-files base-passwd bash coreutils dash debianutils diffutils dpkg findutils grep gzip hostname".split(" "),
  ..."init-system-helpers libc-bin login mawk ncurses-bin perl-base sed sysvinit-utils tar util-linux".split(" "),
  ..."apt debian-archive-keyring gpgv passwd libstdc++6 ca-certificates".split(" "),
];

/** Raise it when the steps below change: the name of an image says what is in it. */
const recipe = "1";
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Answers the name of an image that the engine has. */
export function baseImage(host: string, say: (line: string) => void): string {
  return made(host, imageNames.base, packages, "not recorded", say);
}

/** As `baseImage`, with apt. */
export function imageWithApt(host: string, say: (line: string) => void): string {
  return made(host, imageNames.apt, packagesWithApt, "recorded", say);
}

function made(
  host: string,
  image: string,
  contents: readonly string[],
  record: "recorded" | "not recorded",
  say: (line: string) => void,
): string {
  const node = join(repository, "node_modules", "node", "bin", "node");
  const name = `${image}:${contentTag([recipe, ...contents, versionOf(node)])}`;
  if (hasImage(host, name)) return name;
  say("Making an image from Debian packages.");
  const root = join(enginePaths.packages, "base");
  rmSync(root, { recursive: true, force: true });
  try {
    unpackPackages(contents, root, record);
    complete(root, node);
    if (record === "recorded") takeSources(root);
    importTree(host, root, name, [`ENV PATH=${path}`, "WORKDIR /", 'CMD ["/bin/sleep", "infinity"]']);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return name;
}

export function contentTag(parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 12);
}

export function hasImage(host: string, name: string): boolean {
  return run("docker", ["image", "inspect", name], { env: { DOCKER_HOST: host } }).ok;
}

/** Where this machine's apt gets packages from, and how. */
function takeSources(root: string): void {
  const apt = join(root, "etc/apt");
  for (const folder of ["sources.list.d", "apt.conf.d"]) mkdirSync(join(apt, folder), { recursive: true });
  for (const file of ["sources.list", "sources.list.d/debian.sources"]) {
    if (existsSync(join("/etc/apt", file))) copyFileSync(join("/etc/apt", file), join(apt, file));
  }
  const settings = must("apt-config", ["dump"])
    .split("\n")
    .filter((line) => line.startsWith("Acquire::"));
  writeFileSync(join(apt, "apt.conf.d/this-machine"), `${settings.join("\n")}\n`);
}

/** What the scripts of the packages would have done. */
function complete(root: string, node: string): void {
  for (const file of ["passwd", "group"]) {
    copyFileSync(join(root, `usr/share/base-passwd/${file}.master`), join(root, "etc", file));
  }
  // The user of agents' programs. Mooring's agent makes it where an image has none.
  appendFileSync(join(root, "etc/passwd"), "user:x:1000:1000::/home/user:/bin/bash\n");
  appendFileSync(join(root, "etc/group"), "user:x:1000:\n");
  mkdirSync(join(root, "home/user"), { recursive: true });
  must("chown", ["1000:1000", join(root, "home/user")]);
  writeFileSync(join(root, "etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n");
  if (!existsSync(join(root, "bin/sh"))) symlinkSync("dash", join(root, "bin/sh"));
  if (!existsSync(join(root, "usr/bin/awk"))) symlinkSync("mawk", join(root, "usr/bin/awk"));
  const certificates = join(root, "usr/share/ca-certificates/mozilla");
  const bundle = readdirSync(certificates).map((name) => readFileSync(join(certificates, name), "utf8"));
  mkdirSync(join(root, "etc/ssl/certs"), { recursive: true });
  writeFileSync(join(root, "etc/ssl/certs/ca-certificates.crt"), bundle.join("\n"));
  mkdirSync(join(root, "usr/local/bin"), { recursive: true });
  copyFileSync(node, join(root, "usr/local/bin/node"));
  chmodSync(join(root, "usr/local/bin/node"), 0o755);
  must("chroot", [root, "/sbin/ldconfig"]);
}

function importTree(host: string, root: string, name: string, changes: readonly string[]): void {
  const flags = changes.map((change) => `-c '${change}'`).join(" ");
  const command = `tar -C '${root}' --numeric-owner -c . | docker import ${flags} - '${name}'`;
  must("sh", ["-c", command], { env: { DOCKER_HOST: host }, timeoutMs: 180_000 });
}

function versionOf(node: string): string {
  return must(node, ["--version"]).trim();
}
