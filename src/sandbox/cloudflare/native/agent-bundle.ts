import { sha256, toHex } from "../../../protocol/bytes.ts";

/** The agent's program, one of the Worker's static files, with the digest that a container is started with. */
export interface AgentBundle {
  readonly bytes: Uint8Array;
  /** SHA-256, hex. */
  readonly digest: string;
}

/** `scripts/builds/build-agent.ts` writes it to this path below the assets. The HTTP side does not serve it. */
export const agentBundlePath = "/agent/bundle.json";

export async function readAgentBundle(assets: Pick<Fetcher, "fetch">): Promise<AgentBundle> {
  const reply = await assets.fetch(`https://assets.invalid${agentBundlePath}`);
  if (reply.status !== 200)
    throw new Error(
      `The agent is not among the files of this Worker (status ${reply.status}), so no sandbox can start. \`node scripts/builds/build-agent.ts\` makes it; deploy again.`,
    );
  const bytes = new Uint8Array(await reply.arrayBuffer());
  return { bytes, digest: toHex(await sha256(bytes)) };
}
