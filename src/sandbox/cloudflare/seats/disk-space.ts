/**
 * Disk space in a container (docs/decisions/0012, 0026): how much there is, what may be removed to make more, and
 * whether a launch failed for lack of it.
 *
 * Nothing here starts a container. One that does not run has the empty disk of its instance type: that is the
 * platform's contract, and a launch that finds less says so. Only in a running shared container do several workspaces
 * share a disk, so only there space is measured and reclaimed.
 */
import { failed, succeeded, type ProviderFailure, type ProviderResult } from "../../../domain/state/failure.ts";
import type { SandboxId } from "../../../domain/state/ids.ts";
import { keptBecause, type WorkspaceSeen } from "../../../protocol/sandbox/stale-workspace.ts";
import { surveyReport, type SurveyReport } from "../../../protocol/sandbox/toolbox.ts";
import type { Capacity, LaunchOrder, SandboxLocation, Reclaimed } from "../../agent-sandbox.ts";
import type { FenceDependencies } from "../fence/fence-dependencies.ts";
import { memberOf } from "../fence/sandbox-layout.ts";
import { deadlineIn, type Deadline } from "../platform/limited-call.ts";
import type { Vacating } from "./vacating.ts";

/** With less than this a job could not even write its log. */
const leastFreeBytes = 16 * 1024 * 1024;
const keptShown = 100;

/** What this class asks of the launches, which run one after another per sandbox. */
export interface LaunchTurns {
  isStarting(sandboxId: SandboxId): boolean;
  inTurn<T>(sandboxId: SandboxId, act: () => Promise<T>): Promise<T>;
}

export class DiskSpace {
  readonly #dependencies: FenceDependencies;
  readonly #vacating: Vacating;

  constructor(dependencies: FenceDependencies, vacating: Vacating) {
    this.#dependencies = dependencies;
    this.#vacating = vacating;
  }

  async inspect(location: SandboxLocation, ms: number): Promise<ProviderResult<Capacity>> {
    const { platform, terms } = this.#dependencies;
    if (platform.running()) return this.#measure(location, ms);
    if (terms.freshDisk !== null) return succeeded(terms.freshDisk);
    return failed(
      "space_unmeasurable",
      "The container does not run yet, and how much disk it will have is not known, so space could not be measured.",
      "none",
    );
  }

  /** Checks the space for a member that is about to start. Only such a launch meets a disk to which others wrote. */
  async forMember(order: LaunchOrder, deadline: Deadline): Promise<ProviderResult<null>> {
    if (order.container === undefined) return succeeded(null);
    const space = await this.#measure(order, deadline.left());
    if (!space.ok) return space;
    const { freeBytes } = space.value;
    return freeBytes >= leastFreeBytes ? succeeded(null) : failed("insufficient_space", tooLittle(freeBytes), "none");
  }

  /** Why a launch failed: for lack of space if there is evidence, else as the failure itself says. */
  async whyNot(order: LaunchOrder, failure: ProviderFailure, ms: number): Promise<ProviderFailure> {
    if (failure.code !== "unavailable" && failure.code !== "insufficient_space") return failure;
    const space = await this.#measure(order, ms);
    if (!space.ok)
      return space.failure.code === "filesystem_unusable" ? { ...space.failure, effect: failure.effect } : failure;
    const { freeBytes, totalBytes } = space.value;
    if (freeBytes < leastFreeBytes)
      return { code: "insufficient_space", message: tooLittle(freeBytes), effect: failure.effect };
    if (failure.code === "unavailable") return failure;
    return { ...failure, message: `${failure.message} Of ${totalBytes} bytes there are ${freeBytes} free.` };
  }

  async reclaim(location: SandboxLocation, turns: LaunchTurns, ms: number): Promise<ProviderResult<Reclaimed>> {
    const { platform } = this.#dependencies;
    const deadline = deadlineIn(this.#dependencies.clock, ms);
    const nothing: Reclaimed = { removed: [], freedBytes: 0, kept: [] };
    if (location.container === undefined || !platform.running()) return succeeded(nothing);
    const before = new Map(this.#known().map((sandboxId) => [sandboxId, this.#startsOf(sandboxId)]));
    const seen = await this.#survey(location, deadline);
    if (!seen.ok) return seen;
    // A process that nobody could inspect might belong to any of these workspaces.
    const isBlind = seen.value.workspaces.some(({ processes }) => processes === "unknown");
    const removed: SandboxId[] = [];
    const kept: { name: string; why: string }[] = [];
    let freedBytes = 0;
    for (const each of seen.value.workspaces) {
      const why = keptBecause(
        this.#judged(each, turns, isBlind),
        location.sessionId,
        this.#dependencies.terms.untouchedForMs,
      );
      const sandboxId = each.name as SandboxId;
      const starts = before.get(sandboxId) ?? null;
      const went = why === null ? await this.#remove(location, sandboxId, starts, turns, deadline) : { kept: why };
      if ("freedBytes" in went) {
        removed.push(sandboxId);
        freedBytes += went.freedBytes;
      } else if (!each.name.startsWith(`${location.sessionId}-`)) kept.push({ name: each.name, why: went.kept });
    }
    return succeeded({ removed, freedBytes, kept: kept.slice(0, keptShown) });
  }

  #measure(location: Pick<SandboxLocation, "sandboxId" | "container">, ms: number): Promise<ProviderResult<Capacity>> {
    const { toolbox, terms } = this.#dependencies;
    return toolbox.space(location.container === undefined ? terms.paths.workspace : terms.paths.workspaces, ms);
  }

  #survey(location: SandboxLocation, deadline: Deadline): Promise<ProviderResult<SurveyReport>> {
    const { toolbox, terms } = this.#dependencies;
    const places = this.#known().map((sandboxId) => this.#told(location, sandboxId));
    const order = { directory: terms.paths.workspaces, places };
    return toolbox.run("survey", order, surveyReport, deadline.left(), false);
  }

  /**
   * The members with a seat. Nothing else can have been started in the container, and a member that gave its seat back
   * was removed.
   */
  #known(): readonly SandboxId[] {
    return this.#dependencies.records.roster.members;
  }

  /** null: never started. */
  #startsOf(sandboxId: SandboxId): number | null {
    return this.#dependencies.records.sandbox(sandboxId).armed?.starts ?? null;
  }

  #told(location: SandboxLocation, sandboxId: SandboxId) {
    const who = { sandboxId, ...(location.container === undefined ? {} : { container: location.container }) };
    const { armed } = this.#dependencies.records.sandbox(sandboxId);
    const aim = {
      session: armed?.sessionId ?? "",
      generation: armed?.generation ?? 0,
      instance: null,
    };
    return { name: sandboxId, aim, member: memberOf(who, this.#dependencies) };
  }

  #judged(each: SurveyReport["workspaces"][number], turns: LaunchTurns, isBlind: boolean): WorkspaceSeen {
    const sandboxId = each.name as SandboxId;
    const recorded = this.#known().includes(sandboxId) && this.#dependencies.records.sandbox(sandboxId).armed !== null;
    const processes = isBlind ? "unknown" : turns.isStarting(sandboxId) ? "starting" : each.processes;
    return { name: each.name, recorded, untouchedMs: each.untouched_ms, processes };
  }

  /**
   * Removes a workspace in its sandbox's own turn: retired durably first, and judged once more by the tool that removes
   * it.
   */
  #remove(
    location: SandboxLocation,
    sandboxId: SandboxId,
    starts: number | null,
    turns: LaunchTurns,
    deadline: Deadline,
  ): Promise<{ readonly freedBytes: number } | { readonly kept: string }> {
    return turns.inTurn(sandboxId, async () => {
      const { records, terms } = this.#dependencies;
      const { armed } = records.sandbox(sandboxId);
      if (armed === null || location.container === undefined) return { kept: "no record says whose they are" };
      // It was launched meanwhile. Retiring it would end it.
      if (this.#startsOf(sandboxId) !== starts) return { kept: "its sandbox was started meanwhile" };
      records.retire(sandboxId, armed.generation);
      await records.sync();
      const { sessionId, generation } = armed;
      const aim = { sessionId, sandboxId, container: location.container, generation, instanceId: null };
      const vacated = await this.#vacating.vacate(aim, terms.untouchedForMs, deadline.left());
      if (!vacated.ok) return { kept: `they could not be removed (${vacated.failure.message})` };
      return vacated.value;
    });
  }
}

function tooLittle(freeBytes: number): string {
  return `${freeBytes} bytes are free in the container; ${leastFreeBytes} are needed.`;
}
