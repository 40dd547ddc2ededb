/**
 * The network rules of one container, stored sealed. They are registered with the platform before the container starts,
 * again whenever this object is built beside a running container, and again when they change. Refused requests are
 * counted by host.
 *
 * A container with rules starts without Internet, and the gate (network-gate.ts) takes its HTTP and HTTPS requests;
 * every other connection fails. A container that was started open keeps its other connections until its next start,
 * even if rules are set meanwhile.
 */
import type { DeniedHost } from "../../../domain/state/network.ts";
import type { Logger } from "../../../runtime/clock-ids-logger.ts";
import type { Seals } from "../../../storage/seals.ts";
import { type NetworkRules, opensEverything } from "../../agent-sandbox.ts";
import type { FenceStorage } from "../platform/container-platform.ts";
import type { NetworkGateProps } from "./network-gate.ts";

const rulesRow = "mooring:network";
const deniedRow = "mooring:denied";
const placeOf = (objectId: string): string => `mooring/container/${objectId}/network`;
/** How many hosts one look reports. The others are counted together. */
const maxHosts = 20;
const others = "(others)";

/** The platform writes the certificate with which it answers HTTPS to this file. */
const certificate = "/etc/cloudflare/certs/cloudflare-containers-ca.crt";
/** The gate answers every HTTPS request, so programs need to trust only this certificate. */
const trust = {
  NODE_EXTRA_CA_CERTS: certificate,
  SSL_CERT_FILE: certificate,
  CURL_CA_BUNDLE: certificate,
  REQUESTS_CA_BUNDLE: certificate,
  GIT_SSL_CAINFO: certificate,
} as const;

interface StoredRules {
  readonly sealed: string;
  /**
   * true: the container was started with Internet, so connections other than HTTP and HTTPS do not follow the rules.
   */
  readonly startedOpen: boolean;
}

export interface ContainerNetworkDependencies {
  readonly objectId: string;
  readonly container: Pick<Container, "interceptOutboundHttp" | "interceptOutboundHttps">;
  readonly storage: FenceStorage;
  readonly seals: Seals;
  /** null: this build has no gate, so rules cannot be kept. */
  readonly gate: ((props: NetworkGateProps) => Fetcher) | null;
  readonly logger: Logger;
}

const noGate =
  "This build of Mooring has no NetworkGate, so it cannot keep network rules. The Worker's main module has to export one, as src/index.ts does.";

export class ContainerNetwork {
  readonly #dependencies: ContainerNetworkDependencies;

  constructor(dependencies: ContainerNetworkDependencies) {
    this.#dependencies = dependencies;
  }

  /** Stores the rules for the start that follows, before anything runs. */
  async keep(rules: NetworkRules | undefined): Promise<void> {
    if (rules === undefined || opensEverything(rules)) {
      this.#dependencies.storage.put(rulesRow, { sealed: "", startedOpen: true } satisfies StoredRules);
      return;
    }
    await this.#store(rules, false);
  }

  /** The `enableInternet` of the next `start`. */
  get opensInternet(): boolean {
    return this.#stored?.startedOpen ?? true;
  }

  /** Variables that programs in the container need. */
  get environment(): Readonly<Record<string, string>> {
    return this.opensInternet ? {} : trust;
  }

  /** Registers the stored rules. Rejects when that fails; the container must not be started then. */
  async register(): Promise<void> {
    const stored = this.#stored;
    if (stored === null || stored.sealed === "") return;
    const opened = await this.#dependencies.seals.open(stored.sealed, placeOf(this.#dependencies.objectId));
    if (!opened.ok)
      throw new Error(
        `The stored network rules of the sandbox cannot be read (${opened.why}), so they cannot be applied.`,
      );
    await this.#intercept(JSON.parse(opened.text) as NetworkRules);
  }

  async change(rules: NetworkRules): Promise<"all" | "web"> {
    const startedOpen = this.opensInternet;
    await this.#store(rules, startedOpen);
    await this.#intercept(rules);
    return startedOpen === (rules.mode === "open") ? "all" : "web";
  }

  noteDenied(host: string): void {
    const counts = { ...this.#counts };
    const name = host in counts || Object.keys(counts).length < maxHosts ? host : others;
    this.#dependencies.storage.put(deniedRow, { ...counts, [name]: (counts[name] ?? 0) + 1 });
  }

  /** Answers the counts and begins again at zero. */
  takeDenied(): readonly DeniedHost[] {
    const counts = this.#counts;
    const hosts = Object.entries(counts).map(([host, count]) => ({ host, count }));
    if (hosts.length > 0) this.#dependencies.storage.put(deniedRow, {});
    return hosts;
  }

  get #stored(): StoredRules | null {
    return (this.#dependencies.storage.get(rulesRow) as StoredRules | undefined) ?? null;
  }

  get #counts(): Readonly<Record<string, number>> {
    return (this.#dependencies.storage.get(deniedRow) as Record<string, number> | undefined) ?? {};
  }

  async #store(rules: NetworkRules, startedOpen: boolean): Promise<void> {
    const { seals, objectId, storage, gate } = this.#dependencies;
    if (gate === null) throw new Error(noGate);
    const text = JSON.stringify(rules);
    const sealed = await seals.seal(text, placeOf(objectId));
    // Without a sealing key no session can have secrets, so these rules contain none.
    storage.put(rulesRow, { sealed: sealed ?? text, startedOpen } satisfies StoredRules);
    await storage.sync();
  }

  async #intercept(rules: NetworkRules): Promise<void> {
    const { gate, container, objectId } = this.#dependencies;
    if (gate === null) throw new Error(noGate);
    const fetcher = gate({ objectId, rules });
    await container.interceptOutboundHttp("*", fetcher);
    await container.interceptOutboundHttps("*", fetcher);
  }
}
