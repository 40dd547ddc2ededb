/**
 * Saves the workspace to the bucket and restores it, through an archive transfer: a program of the image that sends or receives
 * one tar on a port of the container and then ends. (docs/decisions/0010 says why not the SDK's backups.)
 *
 * Saves of one sandbox run one after another, so that a name is written once. Each member of a shared container has a
 * port for its own transfer.
 */
import { failed, succeeded, type ProviderResult } from "../../../domain/state/failure.ts";
import type { SessionId } from "../../../domain/state/ids.ts";
import { markers } from "../../../protocol/sandbox/markers.ts";
import { archiveSum, type ArchiveOrder, type ArchiveSum } from "../../../protocol/sandbox/toolbox.ts";
import { controllerToken, wrapperHeaders, wrapperProof } from "../../../protocol/sandbox/wrapper.ts";
import type { LaunchOrder } from "../../agent-sandbox.ts";
import type { SnapshotBucket } from "../platform/container-platform.ts";
import type { FenceDependencies } from "../fence/fence-dependencies.ts";
import { type SandboxLayout, layoutOf } from "../fence/sandbox-layout.ts";
import { canStartAs, programsKnow, takeOne, twoLines } from "../sdk/job-user.ts";
import { deadlineIn, limited, type Deadline } from "../platform/limited-call.ts";
import { archiveDamaged, archiveMissing, streamIn, streamOut } from "./archive-streams.ts";
import type { ObjectAim } from "../object-api.ts";
import {
  acknowledge,
  acknowledgement,
  isRemoved,
  isSame,
  noBucket,
  notAName,
  snapshotNames,
  sumOf,
  upload,
  type SnapshotNames,
} from "./snapshot-shelf.ts";
import { quoted } from "../platform/toolbox-calls.ts";
import { KeyedQueue } from "../../../calls/keyed-queue.ts";

/** Node has to start and listen, which takes a while on a sixteenth of a core. */
const transferReadyMs = 15_000;
/** A transfer that nobody talks to ends by itself after this long. */
const transferPatienceMs = 60_000;
const pollMs = 50;
const transferEndMs = 2_000;

/** A snapshot that was acknowledged. */
export interface KeptFiles {
  readonly names: SnapshotNames;
  readonly sum: ArchiveSum;
}

type Refused = Extract<ProviderResult<never>, { ok: false }>;

export class Saving {
  readonly #dependencies: FenceDependencies;
  readonly #turns = new KeyedQueue();

  constructor(dependencies: FenceDependencies) {
    this.#dependencies = dependencies;
  }

  save(aim: ObjectAim, name: string, timeoutMs: number): Promise<ProviderResult<{ readonly bytes: number }>> {
    const deadline = deadlineIn(this.#dependencies.clock, timeoutMs);
    return this.#turns.run(aim.sandboxId, () => this.#save(aim, name, deadline));
  }

  /** `not_found`: no snapshot of that name was acknowledged, or it was removed. */
  async find(sessionId: SessionId, name: string, deadline: Deadline): Promise<ProviderResult<KeptFiles>> {
    const shelf = this.#shelf(sessionId, name);
    if ("ok" in shelf) return shelf;
    const found = await this.#ask(deadline, false, () => acknowledgement(shelf.bucket, shelf.names));
    if (!found.ok) return found;
    if (found.value === null)
      return failed(
        "not_found",
        `The bucket has no snapshot ${name} of that session, so nothing was restored.`,
        "none",
      );
    return succeeded({ names: shelf.names, sum: found.value });
  }

  /**
   * Restores into the workspace of a container in which nothing of the instance runs yet. `damaged`: the bucket's bytes
   * are not what was saved; `not_found`: the bucket has nothing any more.
   */
  async restore(
    order: LaunchOrder,
    layout: SandboxLayout,
    files: KeptFiles,
    ms: number,
  ): Promise<ProviderResult<null>> {
    const deadline = deadlineIn(this.#dependencies.clock, ms);
    const { platform } = this.#dependencies;
    const { bucket, native } = platform;
    if (bucket === null) return noBucket;
    const restored =
      native === null
        ? await this.#byTransfer(order, layout, bucket, files, deadline)
        : await this.#ask(deadline, true, async () => {
            await streamIn(native, bucket, files, layout.workspace, platform.digest());
            return null;
          });
    if (restored.ok) return restored;
    // Many things can fail on the way. Only reading the archive again tells whether the archive itself is damaged.
    const kept = await this.#ask(deadline, false, () => sumOf(bucket, files.names.archive, platform.digest()));
    if (!kept.ok) return restored;
    const { effect } = restored.failure;
    if (kept.value === null) return failed("not_found", archiveMissing, effect);
    return isSame(kept.value, files.sum) ? restored : failed("damaged", archiveDamaged, effect);
  }

  async #byTransfer(
    order: LaunchOrder,
    layout: SandboxLayout,
    bucket: SnapshotBucket,
    files: KeptFiles,
    deadline: Deadline,
  ): Promise<ProviderResult<null>> {
    const transfer = await this.#startTransfer("unpack", order, layout, deadline);
    if (!transfer.ok) return transfer;
    const came = await this.#ask(deadline, true, async (signal) => {
      const stored = await bucket.get(files.names.archive);
      if (stored === null) throw new Error(archiveMissing);
      const reply = await transfer.value.ask("PUT", "/archive", signal, stored.body);
      return archiveSum.parse(await reply.json());
    });
    if (!came.ok) return came;
    if (isSame(came.value, files.sum)) return succeeded(null);
    return failed(
      "unavailable",
      "The saved archive arrived in the sandbox with another size or checksum than it was packed with, so nothing was started with it.",
      "unknown",
    );
  }

  async #save(aim: ObjectAim, name: string, deadline: Deadline): Promise<ProviderResult<{ readonly bytes: number }>> {
    const { platform, records } = this.#dependencies;
    const shelf = this.#shelf(aim.sessionId, name);
    if ("ok" in shelf) return shelf;
    const { bucket, names } = shelf;
    const earlier = await this.#ask(deadline, false, async () => ({
      removed: await isRemoved(bucket, names),
      sum: await acknowledgement(bucket, names),
    }));
    if (!earlier.ok) return earlier;
    if (earlier.value.removed)
      return failed("refused_retired", `Snapshot ${name} was deleted before, and its name is not used again.`, "none");
    if (earlier.value.sum !== null) return succeeded({ bytes: earlier.value.sum.bytes });
    const { armed } = records.sandbox(aim.sandboxId);
    const here =
      armed?.ready === true &&
      armed.generation === aim.generation &&
      (aim.instanceId === null || armed.instanceId === aim.instanceId);
    const layout = layoutOf(aim, this.#dependencies);
    if (!here || layout === null || !platform.running()) {
      return failed("not_found", "The sandbox does not run, so there are no files to save.", "none");
    }
    const { native } = platform;
    if (native !== null) {
      const saved = await this.#ask(deadline, true, async (signal) => {
        const sent = await streamOut(native, bucket, names, layout.workspace, platform.digest(), signal);
        return acknowledge(bucket, names, sent, await sumOf(bucket, names.archive, platform.digest()));
      });
      return saved.ok ? saved.value : saved;
    }
    const transfer = await this.#startTransfer("pack", { ...aim, instanceId: armed.instanceId }, layout, deadline);
    if (!transfer.ok) return transfer;
    const saved = await this.#ask(deadline, true, async (signal) => {
      const { body } = await transfer.value.ask("GET", "/archive", signal);
      if (body === null)
        throw new Error("The program that packs the workspace answered without a body, so nothing was saved.");
      const sent = await upload(bucket, names, body, platform.digest(), signal);
      // Only the transfer knows whether tar finished without a complaint.
      const packed = archiveSum.parse(await (await transfer.value.ask("GET", "/sum", signal)).json());
      if (!isSame(sent, packed))
        throw new Error(
          "The archive arrived with another size or checksum than it was packed with, so it was not kept.",
        );
      return acknowledge(bucket, names, packed, await sumOf(bucket, names.archive, platform.digest()));
    });
    if (saved.ok) return saved.value;
    // A transfer left alone would keep its port until its patience is over, and the next save would fail too.
    await limited(this.#dependencies.clock, transferEndMs, true, (signal) =>
      transfer.value.ask("DELETE", "/archive", signal),
    );
    return saved;
  }

  #shelf(
    sessionId: SessionId,
    name: string,
  ): Refused | { readonly bucket: SnapshotBucket; readonly names: SnapshotNames } {
    const { bucket } = this.#dependencies.platform;
    if (bucket === null) return noBucket;
    const names = snapshotNames(sessionId, name);
    return names === null ? notAName : { bucket, names };
  }

  #ask<T>(deadline: Deadline, changes: boolean, call: (signal: AbortSignal) => Promise<T>): Promise<ProviderResult<T>> {
    return limited(this.#dependencies.clock, deadline.left(), changes, call);
  }

  async #startTransfer(
    direction: "pack" | "unpack",
    whose: Pick<LaunchOrder, "sessionId" | "generation" | "instanceId">,
    layout: SandboxLayout,
    deadline: Deadline,
  ): Promise<ProviderResult<ArchiveTransfer>> {
    const { platform, terms, ids } = this.#dependencies;
    const { paths } = terms;
    const secret = ids.secret();
    const id = `transfer-${ids.id()}`;
    const file = `${paths.state}/${id}.order`;
    const order: ArchiveOrder = {
      secret,
      directory: layout.workspace,
      patience_ms: transferPatienceMs,
    };
    const owner = direction === "pack" ? null : layout.jobUser;
    const owned: ArchiveOrder = owner === null ? order : { ...order, owner: { uid: owner.uid, gid: owner.gid } };
    const hasOther = owner?.if_possible === true;
    const command = [
      ...(owner !== null && hasOther
        ? takeOne(file, `${programsKnow(paths.wrapper)} && ${canStartAs(owner)}`)
        : [`exec < ${quoted(file)}`, `rm -f ${quoted(file)}`]),
      `exec ${quoted(paths.node)} ${quoted(paths.toolbox)} ${direction}`,
    ].join(" && ");
    const env = {
      [markers.session]: whose.sessionId,
      [markers.instance]: whose.instanceId,
      [markers.generation]: String(whose.generation),
      [markers.role]: "job",
      MOORING_PORT: String(layout.transferPort),
      MOORING_BIND: terms.address,
    };
    const started = await this.#ask(deadline, true, async () => {
      await platform.writeFile(file, hasOther ? twoLines(owned, order) : JSON.stringify(owned));
      await platform.startProcess(command, id, env);
    });
    if (!started.ok) return started;
    const transfer = new ArchiveTransfer(this.#dependencies, layout.transferPort, secret);
    const until = deadlineIn(this.#dependencies.clock, Math.min(transferReadyMs, deadline.left()));
    while (until.left() > 0) {
      const ready = await limited(this.#dependencies.clock, until.left(), false, (signal) =>
        transfer.ask("GET", "/ready", signal),
      );
      if (ready.ok) return succeeded(transfer);
      await this.#dependencies.clock.sleep(Math.min(pollMs, until.left()));
    }
    return failed(
      "unavailable",
      "The program that carries files into and out of the sandbox did not start in time, so none were carried.",
      "unknown",
    );
  }
}

class ArchiveTransfer {
  readonly #dependencies: FenceDependencies;
  readonly #port: number;
  readonly #secret: string;

  constructor(dependencies: FenceDependencies, port: number, secret: string) {
    this.#dependencies = dependencies;
    this.#port = port;
    this.#secret = secret;
  }

  /** Rejects unless the answer came from the program that was given the secret. */
  async ask(method: string, path: string, signal: AbortSignal, body?: ReadableStream<Uint8Array>): Promise<Response> {
    const nonce = this.#dependencies.ids.secret().slice(0, 32);
    const response = await this.#dependencies.platform.connect(this.#port, path, {
      method,
      headers: {
        [wrapperHeaders.authorization]: `Bearer ${await controllerToken(this.#secret)}`,
        [wrapperHeaders.nonce]: nonce,
      },
      signal,
      ...(body === undefined ? {} : { body }),
    });
    const proof = response.headers.get(wrapperHeaders.proof);
    if (response.ok && proof === (await wrapperProof(this.#secret, nonce))) return response;
    await response.body?.cancel();
    throw new Error(
      `The program that carries files answered ${response.status} or without its proof, so no files were carried.`,
    );
  }
}
