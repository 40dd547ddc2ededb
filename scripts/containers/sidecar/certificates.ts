/** A certificate for each host that is asked for, signed by the authority that was made with the image (sidecar-image.ts). */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { authority } from "./authority.ts";

const place = "/run/mooring-sidecar";
const file = (name: string): string => `${place}/${name}`;

export class Certificates {
  readonly #contexts = new Map<string, SecureContext>();

  contextFor(host: string): SecureContext {
    const known = this.#contexts.get(host);
    if (known !== undefined) return known;
    mkdirSync(place, { recursive: true });
    writeFileSync(file("leaf.ext"), `subjectAltName=DNS:${host}\n`);
    openssl(["req", "-new", "-key", authority.leafKey, "-subj", "/CN=intercepted", "-out", file("leaf.csr")]);
    const signed = openssl([
      ...["x509", "-req", "-in", file("leaf.csr"), "-CA", authority.certificate, "-CAkey", authority.key],
      ...["-CAserial", file("serial"), "-CAcreateserial", "-days", "30", "-extfile", file("leaf.ext")],
    ]);
    const context = createSecureContext({ key: readFileSync(authority.leafKey), cert: signed });
    this.#contexts.set(host, context);
    return context;
  }
}

function openssl(args: readonly string[]): string {
  const ran = spawnSync("openssl", args, { encoding: "utf8", env: { OPENSSL_CONF: "/dev/null", PATH: "/usr/bin" } });
  if (ran.status !== 0) throw new Error(`openssl ${args[0]}: ${ran.stderr || ran.error?.message}`);
  return ran.stdout;
}
