/** A certificate authority for the life of one sidecar, and a certificate for each host that is asked for. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";

const place = "/run/mooring-sidecar";
const file = (name: string): string => `${place}/${name}`;

export class Certificates {
  readonly #contexts = new Map<string, SecureContext>();
  #ready = false;

  /** Made when it is first asked for: a container without rules never needs it. */
  get authority(): string {
    this.#make();
    return readFileSync(file("ca.crt"), "utf8");
  }

  contextFor(host: string): SecureContext {
    this.#make();
    const known = this.#contexts.get(host);
    if (known !== undefined) return known;
    writeFileSync(file("leaf.ext"), `subjectAltName=DNS:${host}\n`);
    openssl(["req", "-new", "-key", file("leaf.key"), "-subj", "/CN=intercepted", "-out", file("leaf.csr")]);
    const signed = openssl([
      ...["x509", "-req", "-in", file("leaf.csr"), "-CA", file("ca.crt"), "-CAkey", file("ca.key")],
      ...["-CAcreateserial", "-days", "30", "-extfile", file("leaf.ext")],
    ]);
    const context = createSecureContext({ key: readFileSync(file("leaf.key")), cert: signed });
    this.#contexts.set(host, context);
    return context;
  }

  #make(): void {
    if (this.#ready) return;
    mkdirSync(place, { recursive: true });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl([
      ...["req", "-x509", ...key, "-keyout", file("ca.key"), "-subj", "/CN=Mooring local interception", "-days", "30"],
      ...[
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign",
        "-out",
        file("ca.crt"),
      ],
    ]);
    openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file("leaf.key")]);
    this.#ready = true;
  }
}

function openssl(args: readonly string[]): string {
  const ran = spawnSync("openssl", args, { encoding: "utf8", env: { OPENSSL_CONF: "/dev/null", PATH: "/usr/bin" } });
  if (ran.status !== 0) throw new Error(`openssl ${args[0]}: ${ran.stderr || ran.error?.message}`);
  return ran.stdout;
}
