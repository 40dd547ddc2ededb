/**
 * Every HTTP and HTTPS request of a container with rules comes here, outside of the sandbox: refused, or sent on with the headers that
 * its host is to get. The rules travel with the registration, so that no request has to ask the container's object.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { NetworkRules } from "../../agent-sandbox.ts";
import { networkVerdict } from "./network-verdict.ts";

export interface NetworkGateProps {
  /** Of the container: it counts what is refused. */
  readonly objectId: string;
  readonly rules: NetworkRules;
}

/** What counts refusals: the container's object. */
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
      // A redirect is the program's to follow: its target is judged like any other request.
      const sent = new Request(request, { redirect: "manual" });
      for (const [name, value] of verdict.headers) sent.headers.set(name, value);
      return fetch(sent);
    }
  };
}
