/**
 * Looks: whether the container runs, without waking it, and who is in it when it does. `absent` needs evidence twice over: the
 * container says that it does not run, and nobody answers where the wrapper listened, because `running` has been
 * wrong in the field. Everything that does not answer in time is `unknown` (PHY-1, PHY-7, PHY-8).
 */
import type { Residue } from "../../domain/observation.ts";
import { wrapperPort } from "../../protocol/toolbox.ts";
import type { FenceParts } from "./fence-parts.ts";
import { deadlineIn, limited, type Deadline } from "./limited-call.ts";
import type { ObjectAim, ObjectLook } from "./object-api.ts";

/** Nobody listening is told at once; a silent port is no answer. */
const knockMs = 2_000;

export class Looking {
  readonly #parts: FenceParts;

  constructor(parts: FenceParts) {
    this.#parts = parts;
  }

  async look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook> {
    const { platform, clock } = this.#parts;
    const deadline = deadlineIn(clock, timeoutMs);
    return platform.running() ? this.#inside(aim, deadline) : this.#outside(aim, deadline);
  }

  async #outside(aim: ObjectAim, deadline: Deadline): Promise<ObjectLook> {
    const { platform, clock, records } = this.#parts;
    // Where nothing was ever started by us, there is nowhere to knock.
    if (records.place(aim.sandboxId).armed === null) return this.#seen("absent", [], "The container does not run.");
    const knock = await limited(clock, Math.min(knockMs, deadline.left()), false, async (signal) => {
      const response = await platform.connect(wrapperPort, "/health", { signal });
      await response.body?.cancel();
    });
    if (knock.ok || platform.running()) {
      return this.#seen("unknown", [], "The container says that it does not run, and somebody answers in it.");
    }
    if (knock.failure.code === "timed_out") {
      return this.#seen("unknown", [], "The container says that it does not run, and its port is silent.");
    }
    return this.#seen("absent", [], "The container does not run, and nobody listens in it.");
  }

  async #inside(aim: ObjectAim, deadline: Deadline): Promise<ObjectLook> {
    const seen = await this.#parts.toolbox.look(aim, deadline);
    if (!seen.ok) {
      const { code, message } = seen.failure;
      return this.#seen("unknown", [], `The container runs, and does not say who is in it: ${code}: ${message}`);
    }
    // It is that sandbox's alone: as long as it runs, something of it is there.
    const bare: Residue = { kind: "container", instanceId: null, pid: null };
    const residue = seen.value.length === 0 ? [bare] : seen.value;
    return this.#seen(
      "present",
      residue,
      `The container runs, with ${seen.value.length} processes of that generation.`,
    );
  }

  #seen(answer: ObjectLook["answer"], residue: readonly Residue[], detail: string): ObjectLook {
    return { host: this.#parts.platform.objectId, boot: this.#parts.records.boot, answer, residue, detail };
  }
}
