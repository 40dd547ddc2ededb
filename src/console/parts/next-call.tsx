/** The call that `explain` recommends, as a button that sends it, with what it is for. */
import { useSignal } from "@preact/signals";
import { isDestructive, nameOf, type NextCall, sendCall } from "../data/acts.ts";
import { now } from "../data/clock.ts";
import { identity } from "../data/identity.ts";
import { commandOf } from "../../client/wire/command-of.ts";
import { duration } from "../words/time.ts";
import { ActDialog } from "./act.tsx";
import { announce, Id } from "./bits.tsx";

export function NextCallButton({
  call,
  subject,
  summary,
  onDone,
}: {
  readonly call: NextCall;
  readonly subject: string;
  readonly summary: string;
  readonly onDone: () => void;
}) {
  const asking = useSignal(false);
  const who = identity.value;
  if (call.method === "GET") return null;
  const may = call.access === "admin" ? who?.operator !== null : who?.tenant !== null;
  const waits = call.not_before === null ? 0 : Date.parse(call.not_before) - now.value;
  const danger = isDestructive(call);
  const name = nameOf(call);
  if (!may)
    return (
      <span class="small faint">
        {call.access === "admin" ? "An operator" : "Its tenant"} can: {name.toLowerCase()}
      </span>
    );
  return (
    <>
      <button
        type="button"
        class={danger ? "danger" : ""}
        disabled={waits > 0}
        title={call.why}
        onClick={() => (asking.value = true)}
      >
        {waits > 0 ? `${name} in ${duration(waits)}` : name}
      </button>
      {asking.value && (
        <ActDialog
          order={{
            title: name,
            danger,
            button: name,
            touches: (
              <>
                <p>
                  <Id of={subject} /> – {call.why}
                </p>
                <p class="small faint clamp">{summary}</p>
              </>
            ),
            reason: call.body !== null && "reason" in call.body ? "required" : null,
            command: commandOf(call, subject),
            run: async (reason) => {
              await sendCall(call, reason === "" ? null : reason);
              announce("Done.");
              return <p>It is stored. What comes of it shows here as it happens.</p>;
            },
          }}
          onClose={(done) => {
            asking.value = false;
            if (done) onDone();
          }}
        />
      )}
    </>
  );
}
