/**
 * The acts on the whole fleet: cleanup, emergency, drain, a new index. Cleanup and emergency show their plan first and
 * are applied with its hash.
 */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import type { ProblemBody } from "../../protocol/problem.ts";
import { act, problemIn } from "../data/call.ts";
import { Table } from "./table.tsx";
import { plain } from "../words/states.ts";
import { ActDialog } from "./act.tsx";
import { Chip, Command, Id, Problem } from "./bits.tsx";
import { Dialog } from "./dialog.tsx";

type Which = "cleanup" | "emergency" | "drain" | "index";

export function FleetActs({ draining, onDone }: { readonly draining: boolean; readonly onDone: () => void }) {
  const open = useSignal<Which | null>(null);
  const close = () => {
    open.value = null;
    onDone();
  };
  return (
    <>
      <button type="button" onClick={() => (open.value = "cleanup")}>
        Clean up …
      </button>
      <button type="button" onClick={() => (open.value = "drain")}>
        {draining ? "Take sessions again …" : "Drain …"}
      </button>
      <button type="button" onClick={() => (open.value = "index")}>
        Rebuild the index …
      </button>
      <button type="button" class="danger" onClick={() => (open.value = "emergency")}>
        Emergency …
      </button>
      {(open.value === "cleanup" || open.value === "emergency") && <Planned which={open.value} onClose={close} />}
      {open.value === "drain" && (
        <ActDialog
          onClose={close}
          order={{
            title: draining ? "Take new sessions again" : "Drain the fleet",
            danger: !draining,
            button: draining ? "Take them again" : "Drain",
            reason: "required",
            touches: draining ? (
              <p>Creates are accepted again from now on.</p>
            ) : (
              <p>No new session is accepted until it is ended. What runs goes on, and ends by its own clocks.</p>
            ),
            command: `mooring drain ${draining ? "off" : "on"} --reason "…"`,
            run: async (reason) => {
              await act<"drain">("POST", "/v1/admin/drain", { body: { draining: !draining, reason } });
              return <p>{draining ? "New sessions are taken." : "No new sessions are taken."}</p>;
            },
          }}
        />
      )}
      {open.value === "index" && (
        <ActDialog
          onClose={close}
          order={{
            title: "Rebuild the index",
            danger: false,
            button: "Rebuild",
            reason: "required",
            touches: (
              <p>
                The index is made anew from the registries. No session and no sandbox is touched; lists and figures
                answer "unavailable" until it is done.
              </p>
            ),
            command: 'mooring api rebuild-index --reason "…"',
            run: async (reason) => {
              const { shards } = await act<"rebuildIndex">("POST", "/v1/admin/shards/rebuild", { body: { reason } });
              return (
                <ul>
                  {shards.map((each) => (
                    <li key={each.shard}>
                      {each.shard}: {each.state}
                      {each.sessions === null ? "" : `, ${each.sessions} sessions`}
                    </li>
                  ))}
                </ul>
              );
            },
          }}
        />
      )}
    </>
  );
}

type Reply = AnswerOf<"cleanUp">;

const words = {
  cleanup: {
    title: "Clean up",
    path: "/v1/admin/cleanup",
    command: 'mooring cleanup --reason "…"',
    lead: "Ends what is overdue, stuck, or lost its sandbox.",
  },
  emergency: {
    title: "Emergency: end everything",
    path: "/v1/admin/cleanup/emergency",
    command: 'mooring emergency --reason "…"',
    lead: "Ends every session that holds a sandbox and is not critical.",
  },
} as const;

function Planned({ which, onClose }: { readonly which: "cleanup" | "emergency"; readonly onClose: () => void }) {
  const { title, path, command, lead } = words[which];
  const reason = useSignal("");
  const paused = useSignal(false);
  const plan = useSignal<Reply | null>(null);
  const result = useSignal<Reply | null>(null);
  const problem = useSignal<ProblemBody | null>(null);
  const busy = useSignal(false);
  const body = () => ({ reason: reason.value.trim(), ...(paused.value ? { include_paused: true } : {}) });

  async function ask(apply: boolean): Promise<void> {
    busy.value = true;
    problem.value = null;
    try {
      const hash = plan.value?.plan_hash;
      const more = apply ? (hash === undefined ? {} : { plan_hash: hash }) : { dry_run: true };
      const reply = await act<"cleanUp">("POST", path, { body: { ...body(), ...more } });
      if (apply) result.value = reply;
      else plan.value = reply;
    } catch (error) {
      problem.value = problemIn(error);
      if (problem.value.code === "precondition_failed") plan.value = null;
    }
    busy.value = false;
  }

  const shown = result.value ?? plan.value;
  const due = plan.value?.results.filter(({ outcome }) => outcome === "would_end").length ?? 0;
  return (
    <Dialog title={title} wide onClose={onClose}>
      <p>
        {lead} First the plan: what it would end, and what becomes of the files. It is applied only as long as the plan
        still holds.
      </p>
      {result.value === null && (
        <>
          <div class="field">
            <label for="why">Why</label>
            <input
              id="why"
              autofocus
              maxLength={500}
              placeholder="Kept in the admin log and in each session's history"
              value={reason.value}
              onInput={(event) => (reason.value = event.currentTarget.value)}
            />
          </div>
          {which === "emergency" && (
            <label class="check">
              <input
                type="checkbox"
                checked={paused.value}
                onChange={(event) => {
                  paused.value = event.currentTarget.checked;
                  plan.value = null;
                }}
              />
              Those that hold no sandbox (paused, lost) too: their saved files are deleted
            </label>
          )}
        </>
      )}
      {problem.value !== null && <Problem problem={problem.value} />}
      {shown !== null && <Results reply={shown} />}
      <footer>
        <Command line={command} />
        <span class="grow" />
        <button type="button" onClick={onClose}>
          {result.value === null ? "Cancel" : "Close"}
        </button>
        {result.value === null && (
          <button
            type="button"
            class={plan.value === null ? "primary" : ""}
            disabled={busy.value || reason.value.trim().length < 3}
            onClick={() => void ask(false)}
          >
            {plan.value === null ? "Show the plan" : "Plan anew"}
          </button>
        )}
        {plan.value !== null && result.value === null && (
          <button
            type="button"
            class="danger primary"
            disabled={busy.value || due === 0}
            onClick={() => void ask(true)}
          >
            {busy.value ? "At it …" : `End ${due}`}
          </button>
        )}
      </footer>
    </Dialog>
  );
}

function Results({ reply }: { readonly reply: Reply }) {
  return (
    <>
      <p role="status">
        {reply.dry_run
          ? `${reply.results.length} chosen, nothing ended yet.`
          : `${reply.ended} of ${reply.found} ended.`}
        {reply.silent_shards.length > 0 &&
          ` Not looked at, because they did not answer: ${reply.silent_shards.join(", ")}.`}
        {reply.more && " There are more than one run takes: do it again afterwards."}
        {reply.plan_hash != null && (
          <>
            {" "}
            Plan <code>{reply.plan_hash.slice(0, 16)}</code>
          </>
        )}
      </p>
      <Table kind="planned-rows" heads={["Session", "What", "Why", "Its files"]}>
        {reply.results.map((each) => (
          <tr key={each.id}>
            <td>
              <Id of={each.id} href={`/console/sessions/${each.id}`} />
            </td>
            <td>
              <Chip
                tone={
                  each.outcome === "failed"
                    ? "bad"
                    : each.outcome === "ended"
                      ? "good"
                      : each.outcome === "would_end"
                        ? "warn"
                        : "quiet"
                }
              >
                {plain(each.outcome)}
              </Chip>
            </td>
            <td>
              {plain(each.why)} <span class="small faint">{each.detail}</span>
            </td>
            <td class="small">{each.files}</td>
          </tr>
        ))}
        {reply.results.length === 0 && (
          <tr>
            <td colSpan={4} class="faint">
              Nothing fits: nothing would be ended.
            </td>
          </tr>
        )}
      </Table>
    </>
  );
}
