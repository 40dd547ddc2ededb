/** The image of the network sidecar: the base image with iptables and the programs in sidecar/. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { contentTag, hasImage } from "./base-image.ts";
import { unpackPackages } from "./packages.ts";
import { enginePlaces, imageNames } from "./places.ts";
import { must } from "./run-command.ts";

const programs = join(import.meta.dirname, "sidecar");

const compiled = (file: string): string => file.replace(/\.ts$/, ".mjs");

/** Without its types: reading them at each start would take a tenth of a second, and workerd waits for little more than one. */
function program(file: string): string {
  const text = stripTypeScriptTypes(readFileSync(join(programs, file), "utf8"));
  return text.replace(/(from "\.\/[a-z-]+)\.ts"/g, '$1.mjs"');
}

export function sidecarImage(host: string, base: string, say: (line: string) => void): string {
  const contents = readdirSync(programs).map((file) => readFileSync(join(programs, file), "utf8"));
  const name = `${imageNames.sidecar}:${contentTag([base, ...contents])}`;
  if (hasImage(host, name)) return name;
  say("Making the image of the network sidecar.");
  const context = join(enginePlaces.packages, "sidecar");
  rmSync(context, { recursive: true, force: true });
  try {
    mkdirSync(context, { recursive: true });
    unpackPackages(["iptables", "openssl"], join(context, "root"));
    mkdirSync(join(context, "sidecar"));
    for (const file of readdirSync(programs)) writeFileSync(join(context, "sidecar", compiled(file)), program(file));
    writeFileSync(
      join(context, "Dockerfile"),
      [
        `FROM ${base}`,
        "COPY root/ /",
        "COPY sidecar/ /opt/mooring/",
        // The package's own scripts would have made these links.
        "RUN ln -sf xtables-nft-multi /usr/sbin/iptables && ldconfig",
        'ENTRYPOINT ["/usr/local/bin/node", "/opt/mooring/sidecar.mjs"]',
      ].join("\n"),
    );
    // The classic builder: it needs no plug-in, and finds an image that no registry has.
    const env = { DOCKER_HOST: host, DOCKER_BUILDKIT: "0" };
    must("docker", ["build", "-q", "-t", name, context], { env, timeoutMs: 180_000 });
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  return name;
}
