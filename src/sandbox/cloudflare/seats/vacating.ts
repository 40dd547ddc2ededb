/**
 * Removes a member that ended from its shared container: its workspace, its state, and then its seat. Nothing is
 * removed while anything of the member lives, or while nobody can tell. The seat stays taken as long as the files are
 * there.
 */
import type { ContainerId } from "../../../domain/state/ids.ts";
import { succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import { vacateReport } from "../../../protocol/sandbox/toolbox.ts";
import type { FenceDependencies } from "../fence/fence-dependencies.ts";
import { memberOf, workspaceOf } from "../fence/sandbox-layout.ts";
import type { Deadline } from "../platform/limited-call.ts";
import type { Looking } from "../fence/looking.ts";
import type { ObjectAim } from "../object-api.ts";
import { toolAim } from "../platform/toolbox-calls.ts";

export type Vacated = { readonly freedBytes: number } | { readonly kept: string };

export class Vacating {
  readonly #dependencies: FenceDependencies;
  readonly #looking: Looking;

  constructor(dependencies: FenceDependencies, looking: Looking) {
    this.#dependencies = dependencies;
    this.#looking = looking;
  }

  /**
   * When all seats are taken, gives back the seat of a retired member of which nothing is left. false: there is no such
   * member.
   */
  async freeOne(container: ContainerId, deadline: Deadline): Promise<boolean> {
    const { records } = this.#dependencies;
    for (const sandboxId of records.roster.members) {
      const { armed, retiredThrough } = records.sandbox(sandboxId);
      if (armed === null || retiredThrough === null || retiredThrough < armed.generation) continue;
      const { sessionId, generation } = armed;
      const aim = { sessionId, sandboxId, container, generation, instanceId: null };
      const vacated = await this.vacate(aim, null, deadline.left());
      if (vacated.ok && "freedBytes" in vacated.value) return true;
    }
    return false;
  }

  /** `untouchedForMs` null: remove the workspace whenever it was touched last. */
  async vacate(aim: ObjectAim, untouchedForMs: number | null, ms: number): Promise<ProviderResult<Vacated>> {
    const { platform, toolbox, records, terms } = this.#dependencies;
    const { armed } = records.sandbox(aim.sandboxId);
    if (platform.running() && armed !== null) {
      const order = {
        aim: toolAim({ ...aim, instanceId: null }),
        member: memberOf(aim, this.#dependencies),
        workspace: workspaceOf(aim, this.#dependencies),
        also: [`${terms.paths.state}/${armed.instanceId}`],
        untouched_for_ms: untouchedForMs,
      };
      const told = await toolbox.run("vacate", order, vacateReport, ms, true);
      if (!told.ok) return told;
      if ("kept" in told.value) return succeeded({ kept: told.value.kept });
      records.roster.vacate(aim.sandboxId);
      return succeeded({ freedBytes: told.value.freed_bytes });
    }
    // The disk is gone with the container, but the container's own word is not enough to believe that.
    const seen = await this.#looking.look(aim, ms);
    if (seen.answer !== "absent") return succeeded({ kept: seen.detail });
    records.roster.vacate(aim.sandboxId);
    return succeeded({ freedBytes: 0 });
  }
}
