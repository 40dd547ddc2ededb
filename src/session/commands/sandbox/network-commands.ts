/** Changing what the sandbox of a session may reach. Stored first; a sandbox that runs is told at once, and again until it confirms. */
import type { Reply } from "../../../protocol/problem.ts";
import type { NetworkOrder } from "../../../protocol/resources/session/network.ts";
import type { SessionView } from "../../../protocol/resources/session/sessions.ts";
import { checkNetwork, storedNetwork } from "../../steps/open/admission.ts";
import { applyRules } from "../../steps/network.ts";
import type { StepContext } from "../../steps/step-context.ts";
import type { Caller, Tagged } from "../../session-api.ts";
import type { CommandContext } from "../command-context.ts";
import { noKeyForSecrets, refuse, secretsUnreadable, storageFailed } from "../refusals.ts";

export class NetworkCommands {
  readonly #context: CommandContext;
  readonly #steps: StepContext;

  constructor(context: CommandContext, steps: StepContext) {
    this.#context = context;
    this.#steps = steps;
  }

  async setNetwork(caller: Caller, order: NetworkOrder): Promise<Reply<Tagged<SessionView>>> {
    const found = this.#context.find(caller);
    if (!found.ok) return found;
    const { id, provider } = found.value;
    const capabilities = this.#context.ports.providers.get(provider)?.capabilities;
    const rules = storedNetwork(order);
    const problem = capabilities === undefined ? null : checkNetwork(rules, true, { capabilities, provider });
    if (problem !== null) return refuse(problem);
    const sealed = await this.#steps.secrets.withHeaders(id, order.inject ?? []);
    if (!sealed.ok) return refuse(sealed.why === "no key" ? noKeyForSecrets : secretsUnreadable);
    const { before, after } = sealed.value;
    // Rules and secrets in one write: rules without their secrets would let requests out without the injected header.
    const asked = this.#context.dispatch({ type: "networkChanged", network: rules }, "client", () => {
      if (!this.#context.store.replaceLaunchSecrets(before, after)) throw new Error("sealed anew meanwhile");
      return false;
    });
    if (!asked.ok) return asked;
    if (asked.value.type !== "moved") return refuse(storageFailed);
    const lease = this.#context.state.session?.newest;
    if (lease?.phase === "held") {
      const why = await applyRules(this.#steps, lease);
      if (why !== null) this.#context.ports.logger.warn("the rules for the network wait", { session: id, why });
    }
    return this.#context.answer((session) => this.#context.tagged(session));
  }
}
