/**
 * Looks: whether the container runs, without waking it, and who is in it if it does.
 *
 * `absent` needs two witnesses: the container says that it does not run, and nobody in it answers, neither the wrapper
 * nor the SDK's own server, because `running` has been wrong in the field. For a member of a shared container a whole
 * look that finds nothing of it is enough. Everything that does not answer in time is `unknown`.
 */
import type { InstanceId } from "../../../domain/state/ids.ts";
import type { Containment, Residue } from "../../../domain/state/observation.ts";
import { seatPorts } from "../../../protocol/sandbox/toolbox.ts";
import { type NativeCalls, sdkPort } from "../platform/container-platform.ts";
import type { FenceDependencies } from "./fence-dependencies.ts";
import { layoutOf, memberOf } from "./sandbox-layout.ts";
import { deadlineIn, limited, type Deadline } from "../platform/limited-call.ts";
import type { ObjectAim, ObjectLook } from "../object-api.ts";

/** A closed port is reported at once. A port that stays silent is no answer. */
const knockMs = 2_000;
/**
 * How long a running container may be missing at the platform, as it is for a moment after its object was built anew.
 */
const showsWithinMs = 1_000;
const showsPollMs = 100;
/** This many members are asked, besides the SDK's own server, which is there as long as the container runs. */
const knockedMembers = 4;

const bare: Residue = { kind: "container", instanceId: null, pid: null };

export class Looking {
  readonly #dependencies: FenceDependencies;

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
  }

  async look(aim: ObjectAim, timeoutMs: number): Promise<ObjectLook> {
    const { platform, clock, records } = this.#dependencies;
    const deadline = deadlineIn(clock, timeoutMs);
    if (platform.running()) {
      return platform.native === null ? this.#inside(aim, deadline) : this.#inspected(platform.native, aim, deadline);
    }
    // This object never started anything in it, so there is no port to ask.
    if (records.sandbox(aim.sandboxId).armed === null) return this.#seen("absent", [], "The container does not run.");
    const layout = layoutOf(aim, this.#dependencies);
    return this.#outside(layout === null ? [] : [layout.wrapperPort], deadline);
  }

  /** Looks at the shared container itself: present as long as it runs, whoever is in it. */
  async lookAtContainer(timeoutMs: number): Promise<ObjectLook> {
    const { platform, clock, records } = this.#dependencies;
    if (platform.running()) return this.#seen("present", [bare], "The container runs.");
    if (records.awakeUntil === null) return this.#seen("absent", [], "The container does not run.");
    const ports = records.roster.members.slice(0, knockedMembers).flatMap((sandboxId) => {
      const seat = records.roster.seatOf(sandboxId);
      return seat === null ? [] : [seatPorts(seat.number).wrapper];
    });
    return this.#outside(ports, deadlineIn(clock, timeoutMs));
  }

  async #outside(ports: readonly number[], deadline: Deadline): Promise<ObjectLook> {
    const { platform, clock } = this.#dependencies;
    const knocks = await Promise.all(
      [...(platform.native === null ? [sdkPort] : []), ...ports].map((port) =>
        limited(clock, Math.min(knockMs, deadline.left()), false, async (signal) => {
          const response = await platform.connect(port, "/health", { signal });
          await response.body?.cancel();
        }),
      ),
    );
    const { native } = platform;
    if (native !== null) {
      const seen = await limited(clock, Math.min(knockMs, deadline.left()), false, () => native.inspect());
      if (!seen.ok)
        return this.#seen(
          "unknown",
          [],
          `The platform does not say whether there is a container: ${seen.failure.code}`,
        );
      if (seen.value !== null) {
        const residue: Residue = { ...bare, instanceId: seen.value.instanceId as InstanceId | null };
        return this.#seen("present", [residue], "The container says that it does not run, and the platform shows one.");
      }
    }
    if (knocks.some((knock) => knock.ok) || platform.running()) {
      return this.#seen("unknown", [], "The container says that it does not run, and somebody answers in it.");
    }
    if (knocks.some((knock) => !knock.ok && knock.failure.code === "timed_out")) {
      return this.#seen("unknown", [], "The container says that it does not run, and a port of it is silent.");
    }
    return this.#seen("absent", [], "The container does not run, and nobody listens in it.");
  }

  /** The container is that sandbox's own: as long as the container exists, something of the sandbox does. */
  async #inspected(native: NativeCalls, aim: ObjectAim, deadline: Deadline): Promise<ObjectLook> {
    const { clock } = this.#dependencies;
    const shown = deadlineIn(clock, Math.min(showsWithinMs, deadline.left()));
    let seen = await limited(clock, deadline.left(), false, () => native.inspect());
    while (seen.ok && seen.value === null && shown.left() > 0) {
      await clock.sleep(Math.min(showsPollMs, shown.left()));
      seen = await limited(clock, deadline.left(), false, () => native.inspect());
    }
    if (!seen.ok) return this.#seen("unknown", [], `The platform does not answer: ${seen.failure.code}`);
    if (seen.value === null)
      return this.#seen("unknown", [], "The container runs, and the platform shows none: it starts, or is frozen.");
    const { armed } = this.#dependencies.records.sandbox(aim.sandboxId);
    const instanceId = (seen.value.instanceId ?? armed?.instanceId ?? null) as InstanceId | null;
    return this.#seen("present", [{ ...bare, instanceId }], "The container runs.");
  }

  async #inside(aim: ObjectAim, deadline: Deadline): Promise<ObjectLook> {
    const member = memberOf(aim, this.#dependencies);
    const seen = await this.#dependencies.toolbox.look(aim, deadline, member);
    if (!seen.ok) {
      const { code, message } = seen.failure;
      return this.#seen("unknown", [], `The container runs, and does not say who is in it: ${code}: ${message}`);
    }
    const detail = `The container runs, with ${seen.value.length} processes of that generation.`;
    // The container is that sandbox's own: as long as it runs, something of the sandbox is there.
    if (member === undefined) return this.#seen("present", seen.value.length > 0 ? seen.value : [bare], detail);
    // Without a seat nothing of it was ever started, or the last whole look by its user found nothing (vacating.ts).
    const reach = this.#dependencies.terms.firstJobUser === null ? "marker" : "user";
    return this.#seen(seen.value.length > 0 ? "present" : "absent", seen.value, detail, reach);
  }

  #seen(
    answer: ObjectLook["answer"],
    residue: readonly Residue[],
    detail: string,
    containment: Containment = "container",
  ): ObjectLook {
    const { platform, records } = this.#dependencies;
    return { host: platform.objectId, boot: records.boot, answer, residue, detail, containment };
  }
}
