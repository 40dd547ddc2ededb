/**
 * The network of one container: its rules, stored sealed, registered with the platform before the container starts, again whenever this
 * object is built beside a running one, and anew when they change. Also what was refused, counted by host.
 *
 * A container with rules starts without Internet, and the gate (network-gate.ts) takes its HTTP and HTTPS requests; every other
 * connection fails. A container that was started open keeps its other connections until its next start, even if rules are set meanwhile.
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
/** What clients are told of one look; the others are counted together. */
const maxHosts = 20;
const others = "(others)";

/** Where the platform puts the certificate that it answers HTTPS with. */
const certificate = "/etc/cloudflare/certs/cloudflare-containers-ca.crt";
/** All requests are taken, so this certificate alone is the one that programs meet. */
const trust = {
  NODE_EXTRA_CA_CERTS: certificate,
  SSL_CERT_FILE: certificate,
  CURL_CA_BUNDLE: certificate,
  REQUESTS_CA_BUNDLE: certificate,
  GIT_SSL_CAINFO: certificate,
} as const;

interface StoredRules {
  readonly sealed: string;
  /** It was started with Internet: connections of other kinds do not follow rules. */
  readonly startedOpen: boolean;
}

export interface ContainerNetworkParts {
  readonly objectId: string;
  readonly container: Pick<Container, "interceptOutboundHttp" | "interceptOutboundHttps">;
  readonly storage: FenceStorage;
  readonly seals: Seals;
  /** null: this build has no gate, so no rules can be kept. */
  readonly gate: ((props: NetworkGateProps) => Fetcher) | null;
  readonly logger: Logger;
}

const noGate =
  "This build of Mooring has no NetworkGate, so it cannot keep network rules. The Worker's main module has to export one, as src/index.ts does.";

export class ContainerNetwork {
  readonly #parts: ContainerNetworkParts;

  constructor(parts: ContainerNetworkParts) {
    this.#parts = parts;
  }

  /** For the start that follows. Stored before anything runs. */
  async keep(rules: NetworkRules | undefined): Promise<void> {
    if (rules === undefined || opensEverything(rules)) {
      this.#parts.storage.put(rulesRow, { sealed: "", startedOpen: true } satisfies StoredRules);
      return;
    }
    await this.#store(rules, false);
  }

  /** What the next `start` gets as `enableInternet`. */
  get opensInternet(): boolean {
    return this.#stored?.startedOpen ?? true;
  }

  /** What programs in the container need in their environment. */
  get environment(): Readonly<Record<string, string>> {
    return this.opensInternet ? {} : trust;
  }

  /** Registers what is stored. Rejects when that fails: then nothing may be started. */
  async register(): Promise<void> {
    const stored = this.#stored;
    if (stored === null || stored.sealed === "") return;
    const opened = await this.#parts.seals.open(stored.sealed, placeOf(this.#parts.objectId));
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
    this.#parts.storage.put(deniedRow, { ...counts, [name]: (counts[name] ?? 0) + 1 });
  }

  /** And begins to count anew. */
  takeDenied(): readonly DeniedHost[] {
    const counts = this.#counts;
    const hosts = Object.entries(counts).map(([host, count]) => ({ host, count }));
    if (hosts.length > 0) this.#parts.storage.put(deniedRow, {});
    return hosts;
  }

  get #stored(): StoredRules | null {
    return (this.#parts.storage.get(rulesRow) as StoredRules | undefined) ?? null;
  }

  get #counts(): Readonly<Record<string, number>> {
    return (this.#parts.storage.get(deniedRow) as Record<string, number> | undefined) ?? {};
  }

  async #store(rules: NetworkRules, startedOpen: boolean): Promise<void> {
    const { seals, objectId, storage, gate } = this.#parts;
    if (gate === null) throw new Error(noGate);
    const text = JSON.stringify(rules);
    const sealed = await seals.seal(text, placeOf(objectId));
    // Without a key no session can have secrets, so there are none in these rules.
    storage.put(rulesRow, { sealed: sealed ?? text, startedOpen } satisfies StoredRules);
    await storage.sync();
  }

  async #intercept(rules: NetworkRules): Promise<void> {
    const { gate, container, objectId } = this.#parts;
    if (gate === null) throw new Error(noGate);
    const fetcher = gate({ objectId, rules });
    await container.interceptOutboundHttp("*", fetcher);
    await container.interceptOutboundHttps("*", fetcher);
  }
}
