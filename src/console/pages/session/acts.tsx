/** The acts that `explain` offers for this session now. The call that it recommends comes first. */
import { useSignal } from "@preact/signals";
import { nameOf, type NextCall } from "../../data/acts.ts";
import type { Subject } from "../../data/session.ts";
import { identity } from "../../data/identity.ts";
import { NextCallButton } from "../../parts/next-call.tsx";
import { ForkButton, SnapshotButton } from "../../parts/snapshot-acts.tsx";

export function Acts({ subject, onDone }: { readonly subject: Subject; readonly onDone: () => void }) {
  const { explanation, id } = subject;
  const more = useSignal(false);
  const calls = callsOf(subject);
  // A paused session with auto-resume is resumed for it. For one without, the API refuses.
  const hasFiles = subject.own && ["running", "paused"].includes(subject.session?.status ?? "");
  const few = more.value ? calls : calls.slice(0, 3);
  return (
    <>
      {few.map((call) => (
        <NextCallButton
          key={`${nameOf(call)} ${call.path}`}
          call={call}
          subject={id}
          summary={explanation?.summary ?? ""}
          onDone={onDone}
        />
      ))}
      {more.value && hasFiles && (
        <>
          <SnapshotButton session={id} />
          <ForkButton session={id} />
        </>
      )}
      {(calls.length > few.length || hasFiles) && !more.value && (
        <button type="button" class="ghost" aria-label="More acts" onClick={() => (more.value = true)}>
          More …
        </button>
      )}
    </>
  );
}

/** An operator's `end` replaces the tenant's: it is logged, and works for every tenant. */
function callsOf({ id, explanation, session, own }: Subject): readonly NextCall[] {
  const said = explanation === null ? [] : [explanation.next_call, ...explanation.other_calls];
  const calls = said.filter(
    (call): call is NextCall => call !== null && call.method !== "GET" && call.path !== "/v1/sessions",
  );
  const operator = identity.value?.operator !== null;
  const open = calls.filter((call) => call.access === "admin" || own);
  const ended = ["terminated", "failed"].includes(session?.status ?? "");
  if (!operator || own || ended || open.some(({ method }) => method === "DELETE")) return open;
  const end: NextCall = {
    method: "DELETE",
    path: `/v1/admin/sessions/${id}`,
    body: { reason: "what you saw" },
    headers: {},
    access: "admin",
    not_before: null,
    why: "This ends it, whoever owns it: its jobs end, and its sandbox is proven gone. What is not saved is lost.",
  };
  return [...open, end];
}
