/**
 * Takes every HTTP and HTTPS request of a container with rules, outside of the sandbox: refuses it, or sends it on with
 * the headers for its host. The rules are a part of the registration, so no request has to ask the container's object.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { NetworkRules } from "../../agent-sandbox.ts";
import { networkVerdict } from "./network-verdict.ts";

export interface NetworkGateProps {
  /** The container's object, which counts refusals. */
  readonly objectId: string;
  readonly rules: NetworkRules;
}

/** The part of the container's object that counts refusals. */
export interface DenialCounter {
  noteDenied(host: string): Promise<void>;
}

export function networkGate<Env extends object>(counterOf: (env: Env, objectId: string) => DenialCounter | null) {
  return class NetworkGate extends WorkerEntrypoint<Env, NetworkGateProps> {
    override async fetch(request: Request): Promise<Response> {
      const { rules, objectId } = this.ctx.props;
      const verdict = networkVerdict(rules, new URL(request.url));
      if (verdict.type === "denied") {
        const counted = counterOf(this.env, objectId)?.noteDenied(verdict.host);
        if (counted !== undefined) this.ctx.waitUntil(counted.catch(() => {}));
        return new Response(
          `This sandbox may not reach ${verdict.host}. The network rules of its session decide that (network.mode: ${rules.mode}).\n`,
          { status: 403, headers: { "content-type": "text/plain", "mooring-network": "denied" } },
        );
      }
      // The program follows redirects itself: the target is judged like any other request.
      const sent = new Request(request, { redirect: "manual" });
      for (const [name, value] of verdict.headers) sent.headers.set(name, value);
      return fetch(sent);
    }
  };
}
