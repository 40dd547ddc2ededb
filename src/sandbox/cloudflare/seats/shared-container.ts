/**
 * A shared container as a whole: retired, looked at, ended (docs/decisions/0026). It is ended only when it is retired,
 * because nothing can be launched in it after that. With it go all files of its members, and an hour later what its
 * object stores.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { Retired } from "../../agent-sandbox.ts";
import type { Ending } from "../fence/ending.ts";
import { type FenceDependencies, tombstoneMs } from "../fence/fence-dependencies.ts";
import type { Launching } from "../fence/launching.ts";
import { deadlineIn } from "../platform/limited-call.ts";
import type { Looking } from "../fence/looking.ts";

export class SharedContainer {
  readonly #dependencies: FenceDependencies;
  readonly #launching: Launching;
  readonly #ending: Ending;
  readonly #looking: Looking;

  constructor(dependencies: FenceDependencies, launching: Launching, ending: Ending, looking: Looking) {
    this.#dependencies = dependencies;
    this.#launching = launching;
    this.#ending = ending;
    this.#looking = looking;
  }

  async retire(timeoutMs: number): Promise<ProviderResult<Retired>> {
    const { records, platform } = this.#dependencies;
    records.roster.retire();
    await records.sync();
    // From here on no launch begins. One that is under way may just be starting its process.
    if (!(await this.#launching.settled(timeoutMs))) {
      return failed(
        "timed_out",
        "The container is retired, but a launch in it is still under way, so something may still start.",
        "unknown",
      );
    }
    return succeeded({ host: platform.objectId, boot: records.boot });
  }

  async destroy(timeoutMs: number): Promise<ProviderResult<null>> {
    const { records, platform, clock } = this.#dependencies;
    if (!records.roster.retired)
      return failed(
        "invalid",
        "The container is not retired, so it was not ended: a member may still be launched in it.",
        "none",
      );
    const deadline = deadlineIn(clock, timeoutMs);
    if (!(await this.#ending.endContainer(deadline.left())))
      return failed("unavailable", "The container was told to end and still runs.", "unknown");
    // The container's own word is not enough to forget who is in it.
    const seen = await this.#looking.lookAtContainer(Math.max(1, deadline.left()));
    if (seen.answer !== "absent") return failed("unavailable", seen.detail, "unknown");
    // Until then looks are answered from what is stored, by the host and boot that retired it.
    if (records.erasedAt === null) records.erase(clock.now());
    await platform.storage.setAlarm((records.erasedAt ?? clock.now()) + tombstoneMs);
    return succeeded(null);
  }
}
