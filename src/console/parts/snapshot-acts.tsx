/** Acts on snapshots: take one of a session under a name, start or fork sessions from it, delete it with proof. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { act } from "../data/call.ts";
import { sizeOf } from "../data/files.ts";
import { ActDialog, type ActOrder } from "./act.tsx";
import { Id, When } from "./bits.tsx";

export type Snapshot = AnswerOf<"getSnapshot">;

const pathOf = ({ id }: Snapshot) => `/v1/snapshots/${id}`;

export function SnapshotButton({ session }: { readonly session: string }) {
  const name = useSignal("");
  const order: ActOrder = {
    title: "Take a snapshot",
    danger: false,
    button: "Take it",
    reason: null,
    touches: (
      <>
        <p>
          The files of <Id of={session} /> are kept under a name. It runs on: what runs in it stands still while they
          are saved. Processes and memory are not kept.
        </p>
        <div class="field">
          <label for="snapshot-name">Name (may stay empty)</label>
          <input
            id="snapshot-name"
            autofocus
            maxLength={64}
            pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
            placeholder="with-dependencies"
            value={name.value}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </div>
      </>
    ),
    command: `mooring snapshots create ${session}${name.value === "" ? "" : ` ${name.value}`}`,
    run: async () => {
      const body = name.value === "" ? {} : { name: name.value };
      const taken = await act<"createSnapshot">("POST", `/v1/sessions/${session}/snapshots`, { body });
      return (
        <p>
          {taken.status === "ready" ? "It is saved" : "It is being saved"}:{" "}
          <a href="/console/snapshots">{nameOf(taken)}</a>.
        </p>
      );
    },
  };
  return <ActButton order={order} words="Snapshot …" />;
}

export function ForkButton({ session }: { readonly session: string }) {
  const count = useSignal("1");
  const order: ActOrder = {
    title: "Fork it",
    danger: false,
    button: "Fork",
    reason: null,
    touches: (
      <>
        <p>
          New sessions begin with the files and settings of <Id of={session} />, and share nothing with it afterwards.
          Each costs until it has ended.
        </p>
        <div class="field">
          <label for="fork-count">How many</label>
          <input
            id="fork-count"
            type="number"
            min={1}
            max={20}
            required
            value={count.value}
            onInput={(event) => (count.value = event.currentTarget.value)}
          />
        </div>
      </>
    ),
    command: `mooring fork ${session}${count.value === "1" ? "" : ` -n ${count.value}`}`,
    run: async () => {
      const body = { count: Number(count.value) };
      const { forks } = await act<"forkSession">("POST", `/v1/sessions/${session}/fork`, { body });
      return (
        <ul>
          {forks.map(({ session: made, problem }, index) => (
            <li key={index}>
              {made === null ? (
                <>Not made: {problem?.detail}</>
              ) : (
                <Id of={made.id} href={`/console/sessions/${made.id}`} />
              )}
            </li>
          ))}
        </ul>
      );
    },
  };
  return <ActButton order={order} words="Fork …" />;
}

export function BeginButton({ snapshot }: { readonly snapshot: Snapshot }) {
  const order: ActOrder = {
    title: "Begin a session with it",
    danger: false,
    button: "Begin",
    reason: null,
    touches: (
      <p>
        A new session begins with the files of <b>{nameOf(snapshot)}</b>. It has the usual limits, and costs until it
        has ended.
      </p>
    ),
    command: `mooring up --snapshot ${nameOf(snapshot)}`,
    run: async () => {
      const made = await act<"createSession">("POST", "/v1/sessions", { body: { snapshot: snapshot.id } });
      return (
        <p>
          It starts: <Id of={made.id} href={`/console/sessions/${made.id}`} />
        </p>
      );
    },
  };
  return <ActButton order={order} words="Begin …" tiny />;
}

export function DeleteButton({ snapshot, onDone }: { readonly snapshot: Snapshot; readonly onDone: () => void }) {
  const order: ActOrder = {
    title: "Delete a snapshot",
    danger: true,
    button: "Delete",
    reason: null,
    typed: nameOf(snapshot),
    touches: (
      <>
        <p>
          <b>{nameOf(snapshot)}</b>
          {snapshot.size_bytes !== null && `, ${sizeOf(snapshot.size_bytes)}`}, taken <When at={snapshot.created_at} />{" "}
          from <Id of={snapshot.session_id} />, is deleted for good. Sessions that were made from it keep their files.
        </p>
      </>
    ),
    command: `mooring snapshots delete ${nameOf(snapshot)}`,
    run: async () => {
      const { status, deletion } = await act<"deleteSnapshot">("DELETE", pathOf(snapshot));
      return status === "deleted" ? (
        <p>Proven deleted: {deletion?.evidence}</p>
      ) : (
        <p>Its deletion is stored, and is tried until it is proven. The list shows how far that is.</p>
      );
    },
  };
  return <ActButton order={order} words="Delete …" danger tiny onDone={onDone} />;
}

export const nameOf = ({ name, id }: { readonly name: string | null; readonly id: string }) => name ?? id;

function ActButton({
  order,
  words,
  danger = false,
  tiny = false,
  onDone,
}: {
  readonly order: ActOrder;
  readonly words: ComponentChildren;
  readonly danger?: boolean;
  readonly tiny?: boolean;
  readonly onDone?: () => void;
}) {
  const asking = useSignal(false);
  return (
    <>
      <button
        type="button"
        class={[danger ? "danger" : "", tiny ? "tiny" : ""].join(" ").trim()}
        onClick={() => (asking.value = true)}
      >
        {words}
      </button>
      {asking.value && (
        <ActDialog
          order={order}
          onClose={(done) => {
            asking.value = false;
            if (done) onDone?.();
          }}
        />
      )}
    </>
  );
}
