/** Ends many sessions: shows the list, asks for the number to be typed, then shows progress by id. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { applyEnds, type Outcome, type Plan, planEnds } from "../data/bulk.ts";
import type { Row } from "../data/session-list.ts";
import { Table } from "./table.tsx";
import { plain, type Tone } from "../words/states.ts";
import { Chip, Command, Id, Status } from "./bits.tsx";
import { Dialog } from "./dialog.tsx";

const tones: Readonly<Record<Outcome["type"], Tone>> = {
  ending: "busy",
  ended: "good",
  skipped: "warn",
  failed: "bad",
};

export function BulkEnd({
  rows,
  operator,
  onClose,
}: {
  readonly rows: readonly Row[];
  readonly operator: boolean;
  readonly onClose: () => void;
}) {
  const plan = useSignal<Plan | null>(null);
  const outcomes = useSignal<ReadonlyMap<string, Outcome>>(new Map());
  const phase = useSignal<"plan" | "running" | "done">("plan");
  const typed = useSignal("");
  const reason = useSignal("");
  useEffect(() => {
    void planEnds(rows).then((made) => (plan.value = made));
  }, []);
  const due = plan.value?.items.filter(({ skip }) => skip === null).length ?? 0;

  async function run(): Promise<void> {
    if (plan.value === null) return;
    phase.value = "running";
    await applyEnds(plan.value, operator ? reason.value.trim() : null, (id, outcome) => {
      outcomes.value = new Map(outcomes.value).set(id, outcome);
    });
    phase.value = "done";
  }

  const done = [...outcomes.value.values()].filter(({ type }) => type !== "ending").length;
  return (
    <Dialog title={`End ${due} ${due === 1 ? "session" : "sessions"}`} wide onClose={onClose}>
      <p>
        Each ends with its jobs; what is not saved is lost. Each is looked at again first: one that has changed since is
        skipped. Plan <code>{plan.value?.hash ?? "…"}</code>
      </p>
      <Table kind="planned-rows" heads={["Session", operator && "Tenant", "Status", "What becomes of it"]}>
        {plan.value?.items.map((item) => {
          const outcome = outcomes.value.get(item.id);
          return (
            <tr key={item.id}>
              <td>
                <Id of={item.id} />
              </td>
              {operator && <td>{item.tenant}</td>}
              <td>
                <Status status={item.status} />
              </td>
              <td>
                {outcome !== undefined ? (
                  <>
                    <Chip tone={tones[outcome.type]}>{plain(outcome.type)}</Chip>{" "}
                    {"words" in outcome ? outcome.words : ""}{" "}
                    {outcome.type === "ended" && <a href={`/console/sessions/${item.id}?tab=receipt`}>receipt</a>}
                  </>
                ) : item.skip === null ? (
                  "ends"
                ) : (
                  <span class="faint">skipped: {item.skip}</span>
                )}
              </td>
            </tr>
          );
        })}
      </Table>
      {phase.value === "plan" && operator && (
        <div class="field">
          <label for="reason">Why</label>
          <input
            id="reason"
            maxLength={500}
            placeholder="Kept in the log"
            value={reason.value}
            onInput={(event) => (reason.value = event.currentTarget.value)}
          />
        </div>
      )}
      {phase.value === "plan" && (
        <div class="field">
          <label for="sure">
            Type <code>{due}</code> to say that you have seen the list
          </label>
          <input
            id="sure"
            inputMode="numeric"
            autocomplete="off"
            value={typed.value}
            onInput={(event) => (typed.value = event.currentTarget.value)}
          />
        </div>
      )}
      {phase.value !== "plan" && (
        <p role="status">
          {done} of {due}
          {phase.value === "done" ? " done." : " …"}
        </p>
      )}
      <footer>
        <Command
          line={`mooring end ${rows
            .map(({ id }) => id)
            .join(" ")
            .slice(0, 60)}${rows.length > 2 ? " …" : ""}`}
        />
        <span class="grow" />
        <button type="button" onClick={onClose}>
          {phase.value === "done" ? "Close" : "Cancel"}
        </button>
        {phase.value === "plan" && (
          <button
            type="button"
            class="danger primary"
            disabled={due === 0 || typed.value.trim() !== String(due) || (operator && reason.value.trim().length < 3)}
            onClick={() => void run()}
          >
            End {due}
          </button>
        )}
      </footer>
    </Dialog>
  );
}
