/** The image of the network sidecar: the base image with iptables and the programs in sidecar/. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { contentTag, hasImage } from "./base-image.ts";
import { unpackPackages } from "./packages.ts";
import { enginePaths, imageNames } from "./paths.ts";
import { must } from "./run-command.ts";
import { makeAuthority } from "./sidecar/authority.ts";

const programs = join(import.meta.dirname, "sidecar");
/** Raise it when the steps below change. */
const recipe = "2";

/** One plain script: as modules, each in a file of its own, it took twice as long to start, and workerd waits for little more than a second. */
function bundled(outfile: string): void {
  const entryPoints = [join(programs, "sidecar.ts")];
  buildSync({ entryPoints, outfile, bundle: true, platform: "node", format: "cjs", logLevel: "silent" });
}

export function sidecarImage(host: string, base: string, say: (line: string) => void): string {
  const contents = readdirSync(programs).map((file) => readFileSync(join(programs, file), "utf8"));
  const name = `${imageNames.sidecar}:${contentTag([recipe, base, ...contents])}`;
  if (hasImage(host, name)) return name;
  say("Making the image of the network sidecar.");
  const context = join(enginePaths.packages, "sidecar");
  rmSync(context, { recursive: true, force: true });
  try {
    mkdirSync(context, { recursive: true });
    unpackPackages(["iptables", "openssl"], join(context, "root"));
    mkdirSync(join(context, "sidecar"));
    bundled(join(context, "sidecar", "sidecar.cjs"));
    writeFileSync(
      join(context, "Dockerfile"),
      [
        `FROM ${base}`,
        "COPY root/ /",
        "COPY sidecar/ /opt/mooring/",
        `RUN ${["ldconfig", ...makeAuthority].join(" && ")}`,
        'ENTRYPOINT ["/usr/local/bin/node", "/opt/mooring/sidecar.cjs"]',
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
