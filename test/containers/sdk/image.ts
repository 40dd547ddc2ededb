/** A Dockerfile for the provider `sandbox-sdk` on this machine: the base image, the stand-in for the SDK's server, and our two programs. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { must } from "../../../scripts/containers/run-command.ts";
import { repository } from "../../../scripts/repository.ts";
import { localImage } from "../support/real-containers.ts";

export interface SdkImage {
  readonly dockerfile: string;
  remove(): void;
}

export async function sdkImage(): Promise<SdkImage> {
  const directory = mkdtempSync(join(tmpdir(), "mooring-sdk-"));
  await build({
    entryPoints: [join(import.meta.dirname, "server.ts")],
    outfile: join(directory, "server.cjs"),
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "silent",
  });
  const script = join(repository, "scripts/builds/build-wrapper.ts");
  for (const [name, flags] of [
    ["wrapper", []],
    ["toolbox", ["--toolbox"]],
  ] as const)
    must(process.execPath, [script, ...flags, join(directory, `${name}.js`)], { cwd: repository });
  const dockerfile = join(directory, "Dockerfile");
  writeFileSync(
    dockerfile,
    [
      `FROM ${localImage}`,
      "COPY wrapper.js toolbox.js /opt/mooring/",
      "COPY server.cjs /opt/sdk/",
      "RUN install -d -m 0700 /var/lib/mooring && install -d /workspace && install -d -m 0711 /workspaces",
      "RUN echo mooring:x:1500: >> /etc/group && echo mooring:x:1500:1500::/home/mooring:/usr/sbin/nologin >> /etc/passwd && install -d -o 1500 -g 1500 -m 0700 /home/mooring",
      "EXPOSE 3000 8700-8901",
      'CMD ["/usr/local/bin/node", "/opt/sdk/server.cjs"]',
    ].join("\n"),
  );
  return { dockerfile, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
